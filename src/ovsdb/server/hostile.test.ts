import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JsonRpcConnection, connectStream, formatJson } from '../../stream/index.ts';
import type { Json, JsonRpcMessage } from '../../stream/index.ts';
import { schemaFromJson } from '../schema.ts';
import { runOvsdbServer } from './embed.ts';
import type { RunningOvsdbServer } from './embed.ts';
import { createDatabase } from './storage.ts';

const schema = schemaFromJson({
  name: 'Db',
  version: '1.0.0',
  tables: {
    T: {
      isRoot: true,
      indexes: [['n']],
      columns: {
        n: { type: 'integer' },
        s: { type: { key: 'string', min: 0, max: 'unlimited' } },
        m: { type: { key: 'string', value: 'integer', min: 0, max: 2 } },
        r: { type: { key: { type: 'uuid', refTable: 'T' }, min: 0 } },
      },
    },
  },
});

/** Words that the protocol knows, so that nonsense gets deep. */
const word = fc.constantFrom<Json>(
  'Db',
  '_Server',
  'T',
  'Database',
  'n',
  's',
  'm',
  'r',
  '_uuid',
  '_version',
  'op',
  'insert',
  'select',
  'update',
  'mutate',
  'delete',
  'wait',
  'set',
  'map',
  'uuid',
  'named-uuid',
  '==',
  '<',
  'includes',
  '+=',
  'x',
  '',
  '__proto__',
  'constructor',
  '00000000-0000-4000-8000-000000000000',
);
const value: fc.Arbitrary<Json> = fc.letrec<{ v: Json }>((tie) => ({
  v: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    word,
    fc.constantFrom<Json>(null, true, false, 0, -1, 1.5, 1e300, 2n ** 63n - 1n),
    fc.array(tie('v'), { maxLength: 4 }),
    fc.dictionary(word.map(String), tie('v'), { maxKeys: 4, noNullPrototype: true }),
    fc.record(
      {
        op: word,
        table: fc.constantFrom<Json>('T', 'x'),
        where: tie('v'),
        row: tie('v'),
        rows: tie('v'),
        columns: tie('v'),
        mutations: tie('v'),
        until: fc.constantFrom<Json>('==', '!='),
      },
      { requiredKeys: ['op', 'table'], noNullPrototype: true },
    ),
  ),
})).v;
const method = fc.constantFrom(
  'transact',
  'transact',
  'monitor',
  'monitor_cond',
  'monitor_cond_since',
  'monitor_cond_change',
  'monitor_cancel',
  'get_schema',
  'lock',
  'steal',
  'unlock',
  'echo',
  'cancel',
  'set_db_change_aware',
  'get_server_id',
  'list_dbs',
  'convert',
  'x',
);
const params = fc.oneof(
  fc.array(value, { maxLength: 4 }),
  fc.array(value, { maxLength: 4 }).map((rest): Json[] => ['Db', ...rest]),
);

describe('a hostile client', () => {
  let dir: string;
  let server: RunningOvsdbServer;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
    createDatabase(join(dir, 'db'), schema);
    server = await runOvsdbServer({
      files: [join(dir, 'db')],
      remotes: [`punix:${dir}/sock`],
      unixctlPath: null,
    });
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true });
  });

  it('gets an answer to every request, whatever it says', async () => {
    const connection = new JsonRpcConnection(
      await connectStream({ kind: 'unix', path: join(dir, 'sock'), isPassive: false }),
    );
    const waiting = new Map<Json, (message: JsonRpcMessage | null) => void>();
    connection.start({
      onMessage: (message) => {
        if (message.kind === 'reply' || message.kind === 'error') waiting.get(message.id)?.(message);
      },
      onClose: () => {
        for (const done of waiting.values()) done(null);
      },
    });
    const call = async (name: string, list: readonly Json[]): Promise<JsonRpcMessage | null> =>
      await new Promise((resolve) => waiting.set(connection.request(name, list), resolve));
    await fc.assert(
      fc.asyncProperty(method, params, async (name, list) => {
        // A wait without time-out may rightly stay unanswered: the echo behind it tells that the server lives.
        const answer = Promise.race([call(name, list), call('echo', [])]);
        expect(await answer, `${name} ${formatJson(list)}`).not.toBe(null);
      }),
      { numRuns: 1500 },
    );
    connection.close();
  });
});
