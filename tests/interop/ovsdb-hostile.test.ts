import { readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { DbServer } from '../support/ovsdb-services.ts';
import type { Kind } from '../support/ovsdb-services.ts';
import { waitFor } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovsdb-server'] });

let server: DbServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});
async function start(kind: Kind): Promise<DbServer> {
  server = await DbServer.start(kind, { schemas: [testSchema] });
  return server;
}

async function open(path: string): Promise<Socket> {
  const socket = createConnection({ path, allowHalfOpen: true });
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  return socket;
}

/** Everything that arrives until the server ends the connection. */
async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => pieces.push(bytes));
  await new Promise((resolve) => {
    socket.once('end', resolve);
    socket.once('close', resolve);
  });
  socket.destroy();
  return Buffer.concat(pieces);
}

async function answers(of: DbServer): Promise<boolean> {
  const client = await of.connect();
  const reply = await client.call('echo', ['alive']);
  client.close();
  return JSON.stringify(reply) === '{"result":["alive"]}';
}

const echo = (params: string): string => `{"id":0,"method":"echo","params":${params}}`;

describe.skipIf(skip !== null).each(['ours', 'stock'] as const)(
  'a hostile client of the server: %s',
  (kind) => {
    it('that closes its half of the connection gets its replies', async () => {
      const { socket: path } = await start(kind);
      const socket = await open(path);
      socket.end(echo('[1]') + echo('[2]'));
      expect((await readAll(socket)).toString()).toMatch(/\[1\].*\[2\]/);
    });

    it('that sends a byte at a time is served, and so are others', async () => {
      const under = await start(kind);
      const socket = await open(under.socket);
      const text = echo('["byte by byte"]');
      const half = text.length / 2;
      for (let i = 0; i < text.length; i++) {
        const byte = text.charAt(i);
        await new Promise((resolve) => socket.write(byte, resolve));
        if (i === Math.trunc(half)) expect(await answers(under)).toBe(true);
      }
      socket.end();
      expect((await readAll(socket)).toString()).toContain('byte by byte');
    });

    it.each([
      ['nested too deep', echo('['.repeat(1500) + ']'.repeat(1500))],
      [
        'not UTF-8',
        Buffer.from([...Buffer.from('{"id":0,"method":"echo","params":["'), 0xff, 0xfe, 0x22, 0x5d, 0x7d]),
      ],
      ['not JSON', 'GET / HTTP/1.0\r\n\r\n'],
      ['not JSON-RPC', '{"method":"echo"}'],
      ['an error out of the blue', '{"id":1,"result":null,"error":"x"}'],
    ])('that sends what is %s is disconnected', async (what, bytes) => {
      // The stock server keeps the connection of a client that sends what is not UTF-8.
      if (kind === 'stock' && what === 'not UTF-8') return;
      const under = await start(kind);
      const socket = await open(under.socket);
      socket.write(bytes);
      expect((await readAll(socket)).toString()).toBe('');
      expect(await answers(under)).toBe(true);
    });

    it('that sends 64 MiB of JSON gets it back', async () => {
      const under = await start(kind);
      const socket = await open(under.socket);
      const size = 64 * 1024 * 1024;
      socket.end(echo(`["${'x'.repeat(size)}"]`));
      expect((await readAll(socket)).length).toBeGreaterThan(size);
      expect(await answers(under)).toBe(true);
    });

    it('that asks and never reads harms nobody', async () => {
      const under = await start(kind);
      const socket = await open(under.socket);
      socket.pause();
      const request = echo(`["${'y'.repeat(10_000)}"]`);
      for (let i = 0; i < 2000; i++) socket.write(request);
      for (let i = 0; i < 20; i++) expect(await answers(under)).toBe(true);
      socket.destroy();
    });
  },
);

describe.skipIf(skip !== null)('a client that reads nothing', () => {
  it('does not outlive its session', async () => {
    const under = await start('ours');
    const fds = (): number => readdirSync('/proc/self/fd').length;
    const before = fds();
    const socket = await open(under.socket);
    socket.pause();
    for (let i = 0; i < 200; i++) socket.write(echo(`["${'y'.repeat(10_000)}"]`));
    await waitFor(
      () => [...under.running.server.sessions].some((session) => session.backlogBytes > 0),
      'replies pile up',
    );
    under.running.remotes.reconnect();
    expect(under.running.server.sessions.size).toBe(0);
    // Only the client's own end is left.
    await waitFor(() => fds() <= before + 1, 'the socket is closed');
    socket.destroy();
  });
});

describe.skipIf(skip !== null)('10,000 connections', () => {
  it('leave nothing behind', async () => {
    const under = await start('ours');
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const fds = (): number => readdirSync('/proc/self/fd').length;
    const round = async (count: number): Promise<void> => {
      const sockets = await Promise.all(Array.from({ length: count }, () => open(under.socket)));
      // Some say something, some half of it, some nothing.
      for (const [i, socket] of sockets.entries()) {
        if (i % 3 === 0) socket.write(echo('[]'));
        if (i % 3 === 1) socket.write('{"id":');
        socket.destroy();
      }
      await waitFor(() => under.running.server.sessions.size === 0, 'all sessions end');
    };
    for (let i = 0; i < 10; i++) await round(100);
    gc();
    const before = { fds: fds(), heap: process.memoryUsage().heapUsed };
    for (let i = 0; i < 100; i++) await round(100);
    await waitFor(() => fds() <= before.fds, 'descriptors are closed');
    gc();
    expect(process.memoryUsage().heapUsed - before.heap).toBeLessThan(2_000_000);
  });
});
