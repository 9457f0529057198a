import { afterEach, describe, expect, it } from 'vitest';
import { formatJson, isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { createDatabase } from '../../src/ovsdb/server/storage.ts';
import { waitFor } from '../support/daemons.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import type { TestClient } from '../support/ovsdb.ts';
import { DbServer } from '../support/ovsdb-services.ts';
import type { Kind } from '../support/ovsdb-services.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server', 'ovs-appctl'] });

const servers: DbServer[] = [];
async function start(kind: Kind): Promise<DbServer> {
  const server = await DbServer.start(kind, { schemas: [testSchema] });
  servers.push(server);
  return server;
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

/** Commands in order; `DIR` stands for the server's directory. */
const commands: readonly string[] = `
  memory/show
  ovsdb-server/tlog-list
  ovsdb-server/tlog-set Test:root on
  ovsdb-server/tlog-set x on
  ovsdb-server/tlog-set Test:root x
  ovsdb-server/tlog-set Test:x on
  ovsdb-server/tlog-set y:x on
  ovsdb-server/tlog-list
  ovsdb-server/perf-counters-clear
  ovsdb-server/connect-active-ovsdb-server
  ovsdb-server/get-active-ovsdb-server
  ovsdb-server/set-active-ovsdb-server unix:DIR/nope
  ovsdb-server/set-active-ovsdb-server-probe-interval x
  ovsdb-server/set-active-ovsdb-server-probe-interval 100
  ovsdb-server/connect-active-ovsdb-server
  ovsdb-server/sync-status
  ovsdb-server/get-active-ovsdb-server
  ovsdb-server/disconnect-active-ovsdb-server
  ovsdb-server/sync-status
  ovsdb-server/add-db DIR/nope
  ovsdb-server/add-db DIR/Test.db
  ovsdb-server/remove-db x
  ovsdb-server/remove-db _Server
  ovsdb-server/compact x
  ovsdb-server/compact _Server
  ovsdb-server/compact
  ovsdb-server/compact Test
  ovsdb-server/remove-remote x
  ovsdb-server/add-remote db:x
  ovsdb-server/add-remote db:x,y,z
  ovsdb-server/add-remote db:Test,y,z
  ovsdb-server/add-remote db:Test,root,z
  ovsdb-server/add-remote db:Test,root,ids
  ovsdb-server/add-remote db:Test,root,number
  ovsdb-server/add-remote nonsense
  ovsdb-server/list-remotes
  ovsdb-server/remove-remote db:Test,root,ids
  ovsdb-server/list-remotes
  ovsdb-server/get-db-storage-status x
  ovsdb-server/get-db-storage-status Test
  ovsdb-server/get-db-storage-status _Server
  ovsdb-server/memory-trim-on-compaction x
  ovsdb-server/memory-trim-on-compaction on
  ovsdb-server/memory-trim-on-compaction
  ovsdb-server/add-db relay:x
  ovsdb-server/add-db relay:Test:unix:DIR/nope
  ovsdb-server/add-db relay:T:unix:DIR/nope
  ovsdb-server/list-dbs
  ovsdb-server/remove-db T
  ovsdb-server/list-dbs
  ovsdb-server/set-sync-exclude-tables Test:root,Test:nope,X:y
  ovsdb-server/get-sync-exclude-tables
  ovsdb-server/disable-monitor-cond
  ovsdb-server/reconnect
`
  .trim()
  .split('\n')
  .map((line) => line.trim());

describe.skipIf(skip !== null)('commands of ovsdb-server', () => {
  it('answer as those of the stock server', async () => {
    const answers = async (kind: Kind): Promise<string[]> => {
      const server = await start(kind);
      const client = await server.connect();
      await client.call('transact', ['Test', { op: 'insert', table: 'root', row: { name: 'x' } }]);
      await client.call('monitor', ['Test', 'a', { root: {} }]);
      const said: string[] = [];
      for (const command of commands) {
        const ran = await server.appctl(...command.replaceAll('DIR', server.dir).split(' '));
        const errors = ran.stderr.replace(/^ovs-appctl: .*\n/m, '');
        said.push(`${command}: ${ran.status} ${ran.stdout}${errors}`.replaceAll(server.dir, 'DIR'));
      }
      client.close();
      return said;
    };
    expect(await answers('ours')).toEqual(await answers('stock'));
  });

  it('include every one that the stock server lists', async () => {
    const lists = await Promise.all(
      (['ours', 'stock'] as const).map(async (kind) =>
        (await (await start(kind)).ask('list-commands')).split('\n'),
      ),
    );
    const [ours = [], stock = []] = lists;
    expect(stock.filter((line) => !ours.includes(line))).toEqual([]);
  });

  it('of clusters are refused clearly', async () => {
    const server = await start('ours');
    const { stderr } = await server.appctl('cluster/status', 'Test');
    expect(stderr).toContain('Test is not a clustered database');
  });
});

const columns = ['name', 'model', 'connected', 'leader', 'cid', 'sid', 'index'];

describe.skipIf(skip !== null)('databases that come, go and change', () => {
  /** A life of databases as clients see it. */
  async function live(kind: Kind): Promise<Json[]> {
    const server = await start(kind);
    const seen: Json[] = [];
    const aware = await server.connect();
    const note = async (what: string, reply: Json): Promise<void> => {
      await aware.call('echo', []);
      const told = aware.notifications.splice(0).map(({ method, params }): Json => [method, params]);
      seen.push([what, reply, told.map(labelled)]);
    };
    const ask = async (client: TestClient, method: string, params: readonly Json[]): Promise<void> =>
      await note(method, labelled(await client.call(method, params)));
    await ask(aware, 'set_db_change_aware', [true]);
    await ask(aware, 'monitor_cond', ['_Server', 's', { Database: [{ columns }] }]);
    await ask(aware, 'monitor_cond', ['Test', 'm', { root: [{ columns: ['name'] }] }]);
    const unaware = await server.connect();
    const other = { ...(testSchema as Record<string, Json>), name: 'Other' };
    createDatabase(server.fileOf('Other'), schemaFromJson(other));
    await server.ask('ovsdb-server/add-db', server.fileOf('Other'));
    await unaware.closed;
    await note('added', null);
    await ask(aware, 'list_dbs', []);
    await ask(aware, 'monitor', ['Other', 'o', { root: { columns: ['name'] } }]);
    const waiting = aware.call('transact', [
      'Other',
      { op: 'wait', table: 'root', where: [], until: '==', rows: [{ name: 'n' }], columns: ['name'] },
    ]);
    // The server has the transaction before it is told to remove the database.
    await aware.call('echo', []);
    await server.ask('ovsdb-server/remove-db', 'Other');
    await note('removed', await waiting);
    await ask(aware, 'monitor_cancel', ['o']);
    await ask(aware, 'get_schema', ['Other']);

    await ask(aware, 'transact', ['Test', { op: 'insert', table: 'root', row: { name: 'abc' } }]);
    const change = (edit: (root: Record<string, Json>) => void): Json => {
      const schema = JSON.parse(formatJson(testSchema)) as {
        tables: { root: { columns: Record<string, Json> } };
      };
      edit(schema.tables.root.columns);
      return schema;
    };
    const integerName = change((root) => (root['name'] = { type: 'integer' }));
    const fewer = change((root) => delete root['flag']);
    for (const params of [
      [],
      ['Test'],
      ['Test', 1],
      ['Test', { name: 'X', tables: {} }],
      ['Nope', { name: 'X', tables: {} }],
      ['Test', { name: 'Test', tables: {} }, 1],
      ['Test', integerName],
    ])
      await ask(aware, 'convert', params);
    const before = await server.connect();
    const unmet = aware.call('transact', [
      'Test',
      { op: 'wait', table: 'root', where: [], until: '==', rows: [{ name: 'n' }], columns: ['name'] },
    ]);
    await ask(aware, 'convert', ['Test', fewer]);
    seen.push(labelled(await unmet));
    await before.closed;
    await ask(aware, 'transact', [
      'Test',
      { op: 'select', table: 'root', where: [], columns: ['name', 'flag'] },
    ]);
    await ask(aware, 'transact', ['Test', { op: 'select', table: 'root', where: [], columns: ['name'] }]);
    // A client that does not know of such changes gets its reply, and then the end of its connection.
    const last = await server.connect();
    seen.push(await last.call('convert', ['Test', testSchema]));
    await last.closed;
    await note('converted', null);
    aware.close();
    await server.stop();
    servers.splice(servers.indexOf(server), 1);
    return seen;
  }

  it('are told as the stock server tells', async () => {
    const [ours, stock] = [await live('ours'), await live('stock')];
    ours.forEach((step, i) => expect(step).toEqual(stock[i]));
    expect(ours).toHaveLength(stock.length);
  });

  it('keep what a conversion made when they are opened again', async () => {
    const server = await start('ours');
    const client = await server.connect();
    await client.call('transact', ['Test', { op: 'insert', table: 'root', row: { name: 'kept' } }]);
    client.close();
    const converter = await server.connect();
    await converter.call('convert', ['Test', { ...(testSchema as Record<string, Json>), version: '7.7.7' }]);
    await converter.closed;
    const after = await server.connect();
    await after.call('transact', ['Test', { op: 'insert', table: 'root', row: { name: 'new', number: 1 } }]);
    after.close();
    await server.ask('ovsdb-server/remove-db', 'Test');
    await waitFor(async () => !(await server.ask('ovsdb-server/list-dbs')).includes('Test'), 'it is gone');
    await server.ask('ovsdb-server/add-db', server.fileOf('Test'));
    const again = await server.connect();
    const reply = await again.call('transact', [
      'Test',
      { op: 'select', table: 'root', where: [], columns: ['name'] },
    ]);
    expect(formatJson(reply)).toContain('kept');
    expect(formatJson(reply)).toContain('new');
    expect(formatJson(await again.call('get_schema', ['Test']))).toContain('7.7.7');
    again.close();
  });
});

/** Uuids as one word, members of objects in order, JSON in texts and long schemas left out. */
function labelled(json: Json): Json {
  if (isJsonArray(json)) return json.map(labelled);
  if (isJsonObject(json)) {
    const members = Object.entries(json).map(([name, value]): [string, Json] => [
      name.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'UUID'),
      name === 'syntax' ? 'SYNTAX' : labelled(value),
    ]);
    members.sort(([a, av], [b, bv]) => {
      const [left, right] = [a + formatJson(av, true), b + formatJson(bv, true)];
      return left < right ? -1 : left > right ? 1 : 0;
    });
    return members.map(([name, value]) => [name, value]);
  }
  return typeof json === 'string' ? json.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID') : json;
}
