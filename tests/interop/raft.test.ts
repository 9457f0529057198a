import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Idl } from '../../src/ovsdb/client/index.ts';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { RaftCluster } from '../support/raft.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovsdb-tool', 'ovsdb-client', 'ovs-appctl'] });
const schema = fileURLToPath(new URL('../../share/vswitch.ovsschema', import.meta.url));

describe.skipIf(skip !== null)('against a stock cluster of three', () => {
  let cluster: RaftCluster;
  beforeAll(async () => {
    cluster = await RaftCluster.start(3, schema);
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('ovs-vswitchd and ovs-vsctl go on when the leader is killed, and again', async () => {
    const s = SwitchUnderTest.empty('ours');
    try {
      const vsctl = (...args: string[]): string =>
        s.expect(s.tool('ovs-vsctl', `--db=${cluster.remotes}`, '--retry', '--timeout=100', ...args));
      vsctl('--no-wait', 'init');
      await s.startSwitch(['--enable-dummy'], cluster.remotes);
      vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy');
      for (const port of ['p1', 'p2']) {
        const leader = await cluster.leader();
        await cluster.kill(leader);
        // Waits until the switch has taken it over, which it does only if it follows the new leader.
        vsctl('add-port', 'br0', port, '--', 'set', 'interface', port, 'type=dummy');
        expect(vsctl('list-ports', 'br0').split('\n')).toContain(port);
        expect(Number(vsctl('get', 'interface', port, 'ofport'))).toBeGreaterThan(0);
        expect(s.tool('ovs-appctl', 'dpif/show').stdout).toContain(` ${port} `);
        await cluster.restart(leader);
      }
      expect(vsctl('list-ports', 'br0')).toBe('p1\np2\n');
    } finally {
      await s.stop();
    }
  });

  it('a client leaves a member that lost leadership, keeps its place and its rows', async () => {
    const idl = new Idl({ remote: cluster.memberRemotes, database: 'Open_vSwitch', tables: 'all' }).start();
    const follower = new Idl({
      remote: cluster.remotes,
      database: 'Open_vSwitch',
      tables: { Bridge: ['datapath_type'] },
      leaderOnly: false,
    }).start();
    try {
      await Promise.all([idl.ready(), follower.ready()]);
      const before = await cluster.leader();
      expect([idl.remote, idl.serverStatus?.model, idl.serverStatus?.leader]).toEqual([
        before,
        'clustered',
        true,
      ]);
      const made = await idl.transact((t) => {
        const bridge = t.insert('Bridge', { name: 'kept' });
        const root = t.uuids('Open_vSwitch')[0] ?? t.insert('Open_vSwitch');
        t.insertElements('Open_vSwitch', root, 'bridges', [bridge]);
      });
      expect(made.error).toBeUndefined();
      const row = idl.rows('Bridge').find((r) => r.str('name') === 'kept');
      expect(row).toBeDefined();
      const changes: string[] = [];
      idl.onChange((list) => changes.push(...list.map((c) => `${c.kind} ${c.table}`)));
      await cluster.stepDown(before);
      const after = await cluster.leader();
      await waitFor(() => idl.isSynced && idl.remote === after, 'the client follows the new leader');
      // What was missed is nothing; the rows are the same objects.
      expect(changes).toEqual([]);
      expect(idl.rows('Bridge').find((r) => r.str('name') === 'kept')).toBe(row);
      await idl.transact((t) => t.update('Bridge', row?.uuid ?? '', { datapath_type: 'changed' }));
      await waitFor(
        () => follower.rows('Bridge').some((r) => r.str('datapath_type') === 'changed'),
        'others see it',
      );
    } finally {
      idl.close();
      follower.close();
    }
  });
});
