import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openVSwitch } from '../generated/open-vswitch.ts';
import type { OpenVSwitchTables } from '../generated/open-vswitch.ts';
import { schemaFromJson } from '../schema.ts';
import { runOvsdbServer } from '../server/embed.ts';
import type { RunningOvsdbServer } from '../server/embed.ts';
import { createDatabase } from '../server/storage.ts';
import { connectOvsdb } from './typed-client.ts';
import type { OvsdbClient } from './typed-client.ts';

let dir: string;
let server: RunningOvsdbServer | undefined;
const clients: OvsdbClient<OpenVSwitchTables>[] = [];

async function serve(schema = openVSwitch.schema): Promise<void> {
  createDatabase(join(dir, 'db'), schema);
  server = await runOvsdbServer({
    files: [join(dir, 'db')],
    remotes: [`punix:${dir}/sock`],
    unixctlPath: null,
  });
}
async function connect(): Promise<OvsdbClient<OpenVSwitchTables>> {
  const client = await connectOvsdb(openVSwitch, { remote: `unix:${dir}/sock` });
  clients.push(client);
  return client;
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'typed-'));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server?.close();
  rmSync(dir, { recursive: true });
});

describe('OvsdbClient', () => {
  it('follows references and writes rows for uuids', async () => {
    await serve();
    const db = await connect();
    const made = await db.transact((tx) => {
      const iface = tx.insert('Interface', { name: 'p1', type: 'internal', statistics: { rx: 2n ** 60n } });
      const port = tx.insert('Port', { name: 'p1', interfaces: [iface], vlan_mode: 'access', tag: 7 });
      const queue = tx.insert('Queue', { dscp: 3 });
      const qos = tx.insert('QoS', { type: 'linux-htb', queues: new Map([[5, queue]]) });
      tx.update(port, { qos });
      const bridge = tx.insert('Bridge', { name: 'br0', ports: [port] });
      tx.insert('Open_vSwitch', { bridges: [bridge] });
    });
    expect(made.incrementResult).toBeUndefined();
    const [bridge] = db.tables.Bridge.rows;
    const [port] = bridge?.ports ?? [];
    expect([bridge?.name, port?.name, port?.tag, port?.vlan_mode, port?.bond_mode]).toEqual([
      'br0',
      'p1',
      7,
      'access',
      undefined,
    ]);
    expect(port?.qos?.queues.get(5)?.dscp).toBe(3);
    const [iface] = port?.interfaces ?? [];
    expect(iface?.statistics).toEqual(new Map([['rx', 2 ** 60]]));
    expect(iface?._row.map('statistics').get('rx')).toBe(2n ** 60n);
    expect(db.tables.Interface.get(iface?._uuid ?? '')).toBe(iface);
  });

  it('tells changes by table and empties columns by null', async () => {
    await serve();
    const db = await connect();
    const made = await db.transact((tx) => {
      tx.insert('Open_vSwitch', { bridges: [tx.insert('Bridge', { name: 'br0', fail_mode: 'secure' })] });
    });
    expect(made.incrementResult).toBeUndefined();
    const heard: string[] = [];
    db.tables.Bridge.onChange(({ kind, row, columns }) =>
      heard.push(`${kind} ${row.name} ${columns.join()}`),
    );
    const bridge = db.tables.Bridge.find((row) => row.name === 'br0');
    if (bridge === undefined) throw new Error('no bridge');
    await db.transact((tx) => tx.update(bridge, { fail_mode: null, other_config: { a: 'b' } }));
    expect([bridge.fail_mode, bridge.other_config.get('a')]).toEqual([undefined, 'b']);
    const [root] = db.tables.Open_vSwitch.rows;
    if (root === undefined) throw new Error('no root');
    const counted = await db.transact((tx) => {
      tx.deleteElements(root, 'bridges', [bridge]);
      tx.increment(root, 'next_cfg');
    });
    expect([counted.incrementResult, root.bridges]).toEqual([1, []]);
    expect(heard).toEqual(['modify br0 fail_mode,other_config', 'delete br0 ']);
  });

  it('reads the defaults of columns that an older server lacks', async () => {
    await serve(
      schemaFromJson({
        name: 'Open_vSwitch',
        version: '1.0.0',
        tables: { Bridge: { columns: { name: { type: 'string' } }, isRoot: true } },
      }),
    );
    const db = await connect();
    await db.transact((tx) => {
      tx.insert('Bridge', { name: 'old' });
    });
    const [bridge] = db.tables.Bridge.rows;
    expect([bridge?.name, bridge?.ports, bridge?.fail_mode, bridge?.stp_enable]).toEqual([
      'old',
      [],
      undefined,
      false,
    ]);
    expect(db.tables.Port.rows).toEqual([]);
  });
});
