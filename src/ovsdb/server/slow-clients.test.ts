import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JsonRpcConnection, JsonStreamParser, connectStream, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonRpcMessage } from '../../stream/index.ts';
import { schemaFromJson } from '../schema.ts';
import { Database } from './database.ts';
import type { RowChange } from './database.ts';
import { runOvsdbServer } from './embed.ts';
import type { RunningOvsdbServer } from './embed.ts';
import { MergedChanges } from './monitor-sharing.ts';
import { Row } from './row.ts';
import { createDatabase } from './storage.ts';

const schema = schemaFromJson({
  name: 'Db',
  version: '1.0.0',
  tables: {
    T: { isRoot: true, columns: { n: { type: 'integer' }, s: { type: 'string' } } },
  },
});

/** A client that reads only when told to. */
class SlowClient {
  readonly #socket: Socket;
  readonly messages: Json[] = [];
  readonly #parser = new JsonStreamParser();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
    socket.on('data', (bytes: Buffer) => this.#parser.feed(bytes, (json) => this.messages.push(json)));
  }
  static async connect(path: string): Promise<SlowClient> {
    const socket = createConnection({ path });
    await new Promise((resolve) => socket.once('connect', resolve));
    return new SlowClient(socket);
  }
  send(method: string, params: Json, id: Json = method): void {
    this.#socket.write(JSON.stringify({ id, method, params }));
  }
  /** Reads until a message is there that `isLast` accepts, then stops reading again. */
  async readUntil(isLast: (message: Json) => boolean): Promise<void> {
    this.#socket.resume();
    while (!this.messages.some(isLast)) await new Promise((resolve) => setImmediate(resolve));
    this.#socket.pause();
  }
  close(): void {
    this.#socket.destroy();
  }
}

const isReplyTo = (id: Json) => (message: Json) =>
  isJsonObject(message) && message['id'] === id && message['method'] === undefined;
const isUpdate = (message: Json) =>
  isJsonObject(message) && typeof message['method'] === 'string' && message['method'].startsWith('update');

describe('slow clients', () => {
  let dir: string;
  let running: RunningOvsdbServer;
  let writer: JsonRpcConnection;
  const replies = new Map<Json, (message: JsonRpcMessage) => void>();
  const transact = async (...operations: Json[]): Promise<void> => {
    await new Promise((resolve) => replies.set(writer.request('transact', ['Db', ...operations]), resolve));
  };
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
    createDatabase(join(dir, 'db'), schema);
    running = await runOvsdbServer({
      files: [join(dir, 'db')],
      remotes: [`punix:${dir}/sock`],
      unixctlPath: null,
    });
    writer = new JsonRpcConnection(
      await connectStream({ kind: 'unix', path: join(dir, 'sock'), isPassive: false }),
    );
    writer.start({
      onMessage: (message) => {
        if (message.kind === 'reply') replies.get(message.id)?.(message);
      },
      onClose: () => undefined,
    });
    await transact({ op: 'insert', table: 'T', row: { n: 0 } });
  });
  afterAll(async () => {
    writer.close();
    await running.close();
    rmSync(dir, { recursive: true });
  });

  it('that read get what was merged while a long update had yet to be written', async () => {
    const client = await SlowClient.connect(join(dir, 'sock'));
    client.send('monitor', ['Db', 'm', { T: [{ columns: ['n', 's'] }] }]);
    await client.readUntil(isReplyTo('monitor'));
    // Both requests in one piece, so that the second commit finds the update of the first unwritten.
    const update = (n: number, s: string): Json => ({ op: 'update', table: 'T', where: [], row: { n, s } });
    const first = transact(update(-1, 'x'.repeat(40_000)));
    await Promise.all([first, transact(update(-2, ''))]);
    await client.readUntil((message) => isUpdate(message) && JSON.stringify(message).includes('"n":-2'));
    client.close();
  });

  it.each(['monitor', 'monitor_cond', 'monitor_cond_since'])(
    'get merged updates and cost little: %s',
    async (method) => {
      const client = await SlowClient.connect(join(dir, 'sock'));
      const since = method === 'monitor_cond_since' ? ['00000000-0000-0000-0000-000000000000'] : [];
      client.send(method, ['Db', 'm', { T: [{ columns: ['n', 's'] }] }, ...since]);
      await client.readUntil(isReplyTo(method));
      const commits = 3000;
      for (let i = 1; i <= commits; i++) {
        const s = `${i} ${'x'.repeat(1000)}`;
        await transact({ op: 'update', table: 'T', where: [], row: { n: i, s } });
      }
      const backlog = [...running.server.sessions].reduce((sum, session) => sum + session.backlogBytes, 0);
      expect(backlog).toBeLessThan(200_000);
      client.send('echo', [], 'end');
      await client.readUntil(isReplyTo('end'));
      const updates = client.messages.filter(isUpdate);
      expect(updates.length).toBeLessThan(commits);
      expect(JSON.stringify(updates.at(-1))).toContain(`"n":${commits}`);
      client.close();
    },
  );

  it('get what they would have got, as one change', () => {
    const database = new Database(schema);
    const table = database.table('T');
    const uuids = ['a', 'b', 'c'];
    const step = fc.record({ uuid: fc.constantFrom(...uuids), isThere: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.array(step, { maxLength: 20 }), (first, then) => {
        const rows = new Map<string, Row>();
        const apply = ({ uuid, isThere }: { uuid: string; isThere: boolean }): RowChange => {
          const old = rows.get(uuid);
          const row = isThere ? Row.create(uuid, table.layout, new Map()) : undefined;
          if (row === undefined) rows.delete(uuid);
          else rows.set(uuid, row);
          return { table, uuid, old, new: row };
        };
        for (const each of first) apply(each);
        const before = new Map(rows);
        const merged = new MergedChanges();
        for (const each of then) merged.add([apply(each)]);
        for (const change of merged.changes) {
          expect(change.old).toBe(before.get(change.uuid));
          expect(change.new).toBe(rows.get(change.uuid));
          expect(change.old).not.toBe(change.new);
        }
        const told = new Set(merged.changes.map((change) => change.uuid));
        for (const uuid of uuids) if (!told.has(uuid)) expect(rows.get(uuid)).toBe(before.get(uuid));
      }),
    );
  });
});
