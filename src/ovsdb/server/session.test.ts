import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JsonRpcConnection, ManualTimers, connectStream, listenStream } from '../../stream/index.ts';
import type { Json, JsonRpcMessage, StreamListener } from '../../stream/index.ts';
import { schemaFromJson } from '../schema.ts';
import { Database } from './database.ts';
import { OvsdbServer } from './server.ts';
import type { ServerSession, SessionSettings } from './session.ts';

const schema = schemaFromJson({
  name: 'Db',
  version: '1.0.0',
  tables: { T: { isRoot: true, columns: { n: { type: 'integer' } } } },
});

describe('ServerSession', () => {
  let dir: string;
  let timers: ManualTimers;
  let server: OvsdbServer;
  let listener: StreamListener;
  let settings: SessionSettings;
  let session: ServerSession | undefined;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
    timers = new ManualTimers();
    server = new OvsdbServer({ timers });
    server.addDatabase(new Database(schema));
    settings = { probeIntervalMs: 5000, isReadOnly: false };
    listener = await listenStream({ kind: 'unix', path: join(dir, 'sock'), isPassive: true }, (stream) => {
      session = server.accept(stream, settings);
    });
  });
  afterEach(async () => {
    await listener.close();
    await server.close();
    rmSync(dir, { recursive: true });
  });

  /** A connected client that answers nothing, and what it has received. */
  async function connect(): Promise<{
    connection: JsonRpcConnection;
    received: JsonRpcMessage[];
    closed: Promise<void>;
    next: () => Promise<void>;
  }> {
    const connection = new JsonRpcConnection(
      await connectStream({ kind: 'unix', path: join(dir, 'sock'), isPassive: false }),
    );
    const received: JsonRpcMessage[] = [];
    let wake = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      connection.start({
        onMessage: (message) => {
          received.push(message);
          wake();
        },
        onClose: () => resolve(),
      });
    });
    const next = async (): Promise<void> => {
      const count = received.length;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (received.length > count) resolve();
      });
    };
    const first = next();
    connection.request('echo', []);
    await first;
    return { connection, received, closed, next };
  }

  it('probes a silent client and drops one that does not answer', async () => {
    const { received, closed, next } = await connect();
    timers.advance(4999);
    expect(received).toHaveLength(1);
    const probe = next();
    timers.advance(1);
    await probe;
    expect(received[1]).toEqual({ kind: 'request', id: 'echo', method: 'echo', params: [] });
    timers.advance(5000);
    await closed;
    expect(server.sessions.size).toBe(0);
  });

  it('keeps a client that answers, however late', async () => {
    const { connection, received, next } = await connect();
    for (let i = 0; i < 3; i++) {
      const probe = next();
      timers.advance(5000);
      await probe;
      timers.advance(4000);
      connection.reply('echo', []);
      // The reply to this request comes after the server has seen the answer.
      const reply = next();
      connection.request('echo', [i]);
      await reply;
    }
    expect(server.sessions.size).toBe(1);
    expect(received).toHaveLength(7);
  });

  it('takes another interval at once, and other rights by a new connection', async () => {
    const { received, closed, next } = await connect();
    session?.setSettings({ ...settings, probeIntervalMs: 100 });
    const probe = next();
    timers.advance(100);
    await probe;
    expect(received).toHaveLength(2);
    session?.setSettings({ ...settings, isReadOnly: true });
    await closed;
  });

  it('gives the text of an update to clients that ask for the same, under their own names', async () => {
    const names: Json[] = ['a', ['b'], 'c'];
    const clients = [];
    for (const name of names) {
      const client = await connect();
      const reply = client.next();
      client.connection.request('monitor', ['Db', name, { T: {} }]);
      await reply;
      clients.push(client);
    }
    expect(server.monitorClasses.size).toBe(1);
    const [first] = clients;
    if (first === undefined) throw new Error('no client');
    const updates = clients.map((client) => client.next());
    first.connection.request('transact', ['Db', { op: 'insert', table: 'T', row: { n: 7 } }]);
    await Promise.all(updates);
    for (const [i, { received }] of clients.entries()) {
      const update = received.find((m) => m.kind === 'notification');
      expect(update).toMatchObject({ method: 'update', params: [names[i], { T: {} }] });
      expect(JSON.stringify(update)).toContain('"n":7');
    }
    for (const client of clients) client.connection.close();
    await Promise.all(clients.map((client) => client.closed));
    while (server.sessions.size > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(server.monitorClasses.size).toBe(0);
  });

  it('counts monitors with the same conditions as one class, whatever theirs were before', async () => {
    const where = (n: number): Json => ({ T: [{ where: [['n', '==', n]] }] });
    for (const changes of [[1, 2, 3, 1, 7], [7]]) {
      const client = await connect();
      const call = async (method: string, params: readonly Json[]): Promise<void> => {
        const reply = client.next();
        client.connection.request(method, params);
        await reply;
      };
      await call('monitor_cond', ['Db', 'm', { T: {} }]);
      for (const n of changes) await call('monitor_cond_change', ['m', 'm', where(n)]);
      await call('monitor_cond_change', ['m', 'm', { T: [] }]);
    }
    expect(server.monitorClasses.size).toBe(1);
  });
});
