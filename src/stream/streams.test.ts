import { mkdtempSync, rmSync, writeFileSync, existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectStream, listenStream } from './byte-stream.ts';
import type { ByteStream } from './byte-stream.ts';
import { JsonRpcConnection, messageFromJson } from './jsonrpc.ts';
import type { JsonRpcMessage } from './jsonrpc.ts';
import { parseTarget } from './target.ts';
import { UnixctlClient } from './unixctl-client.ts';
import { UnixctlCommands, UnixctlServer } from './unixctl.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stream-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('targets', () => {
  it.each([
    ['tcp:1.2.3.4', { kind: 'tcp', host: '1.2.3.4', port: 6640, isPassive: false }],
    ['tcp:[::1]:5', { kind: 'tcp', host: '::1', port: 5, isPassive: false }],
    ['ptcp:', { kind: 'tcp', host: '', port: 6640, isPassive: true }],
    ['ptcp:0:[::1]', { kind: 'tcp', host: '::1', port: 0, isPassive: true }],
    ['unix:a', { kind: 'unix', path: '/run/a', isPassive: false }],
    ['punix:/x', { kind: 'unix', path: '/x', isPassive: true }],
  ])('%s', (text, target) => {
    expect(parseTarget(text, 6640, '/run')).toEqual(target);
  });
  it.each(['foo:1', 'tcp:', 'tcp:a:70000', 'unix:', 'x'])('%s is refused', (text) => {
    expect(() => parseTarget(text, 1, '/run')).toThrow('Address family not supported by protocol');
  });
});

async function echoes(passive: string, active: (port: number) => string): Promise<string> {
  const listener = await listenStream(parseTarget(passive, 1, dir), (stream) => {
    stream.start({ onData: (bytes) => stream.send(bytes), onClose: () => undefined });
  });
  const stream = await connectStream(parseTarget(active(listener.boundPort), 1, dir));
  const text = await new Promise<string>((resolve) => {
    stream.start({
      onData: (bytes) => resolve(Buffer.from(bytes).toString()),
      onClose: () => resolve('closed'),
    });
    stream.send('hello');
  });
  stream.close();
  await listener.close();
  return text;
}

describe('byte streams', () => {
  it('carry bytes over unix and TCP', async () => {
    expect(await echoes('punix:s', () => 'unix:s')).toBe('hello');
    expect(existsSync(join(dir, 's'))).toBe(false);
    expect(await echoes('ptcp:0:127.0.0.1', (port) => `tcp:127.0.0.1:${port}`)).toBe('hello');
  });
  it('tell that they have drained, also of what the kernel takes at once', async () => {
    const listener = await listenStream(parseTarget('punix:s', 1, dir), (stream) => {
      stream.start({ onData: () => undefined, onClose: () => undefined });
    });
    const stream = await connectStream(parseTarget('unix:s', 1, dir));
    let onDrain = (): void => undefined;
    stream.start({ onData: () => undefined, onClose: () => undefined, onDrain: () => onDrain() });
    // The first fits into the socket's buffer, the last does not.
    for (const sizeBytes of [17_000, 40_000, 100_000, 4_000_000]) {
      const drained = new Promise<void>((resolve) => (onDrain = resolve));
      stream.send('x'.repeat(sizeBytes));
      await drained;
      expect(stream.backlogBytes).toBeLessThanOrEqual(16 * 1024);
    }
    stream.close();
    await listener.close();
  });
  it('work in directories with long names, over what a dead server left', async () => {
    const long = join(dir, 'a'.repeat(100));
    mkdirSync(long);
    expect(await echoes(`punix:${long}/s`, () => `unix:${long}/s`)).toBe('hello');
  });
  it('reject with the errno of connect', async () => {
    await expect(connectStream(parseTarget('unix:nope', 1, dir))).rejects.toMatchObject({ code: 'ENOENT' });
    writeFileSync(join(dir, 'file'), '');
    await expect(connectStream(parseTarget('unix:file', 1, dir))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });
});

describe('JSON-RPC', () => {
  it.each([
    [[], 'message is not a JSON object'],
    [{ x: 1 }, 'message has unexpected member "x"'],
    [{ method: 1, params: [] }, 'method is not a JSON string'],
    [{ method: 'a', id: 1 }, 'request must have "params"'],
    [{ method: 'a', id: 1, params: {} }, '"params" must be JSON array'],
    [{ result: 1 }, 'reply must have "id"'],
    [{ id: 1, result: 1, error: 1 }, 'error must not have "result"'],
  ])('%j is refused', (json, text) => {
    expect(messageFromJson(json)).toBe(text);
  });

  it('writes once what is sent within one callback, and all of it before closing', async () => {
    const written: string[] = [];
    const stream: ByteStream = {
      name: 'test',
      localAddress: '',
      peerId: null,
      backlogBytes: 0,
      start: () => undefined,
      send: (bytes) => written.push(String(bytes)),
      pause: () => undefined,
      resume: () => undefined,
      close: () => written.push('closed'),
      destroy: () => written.push('destroyed'),
    };
    const connection = new JsonRpcConnection(stream);
    const handlers = connection.attach({
      onMessage: (m) => m.kind === 'request' && connection.reply(m.id, 'yes'),
      onClose: () => undefined,
    });
    const request = (id: number): string => `{"method":"a","params":[],"id":${id}}`;
    handlers.onData(Buffer.from(request(1) + request(2)));
    expect(written).toEqual([]);
    expect(connection.backlogBytes).toBeGreaterThan(0);
    await Promise.resolve();
    const reply = (id: number): string => `{"id":${id},"result":"yes","error":null}`;
    expect(written).toEqual([reply(1) + reply(2)]);
    connection.reply(3, 'yes');
    connection.close();
    expect(written.slice(1)).toEqual([reply(3), 'closed']);
    connection.reply(4, 'late');
    await Promise.resolve();
    expect(written).toHaveLength(3);
  });

  it('closes a connection on anything else', async () => {
    const seen: JsonRpcMessage[] = [];
    let onEnd: (text: string) => void = () => undefined;
    const end = new Promise<string>((resolve) => {
      onEnd = resolve;
    });
    const listener = await listenStream(parseTarget('punix:s', 1, dir), (stream) => {
      new JsonRpcConnection(stream).start({
        onMessage: (m) => seen.push(m),
        onClose: (error) => onEnd(error?.message ?? ''),
      });
    });
    const client = await connectStream(parseTarget('unix:s', 1, dir));
    client.start({ onData: () => undefined, onClose: () => undefined });
    client.send(
      '{"method":"a","params":[],"id":null} {"method":"b","params":[1],"id":0}{"id":5}{"nope":1}{"method":"c","params":[],"id":1}',
    );
    expect(await end).toContain('message has unexpected member "nope"');
    expect(seen).toEqual([
      { kind: 'notification', method: 'a', params: [] },
      { kind: 'request', method: 'b', params: [1], id: 0 },
      { kind: 'reply', id: 5, result: null },
    ]);
    await listener.close();
  });

  it('holds requests back while the client does not read the replies', async () => {
    const text = 'x'.repeat(100_000);
    let maxBacklogBytes = 0;
    const listener = await listenStream(parseTarget('punix:s', 1, dir), (stream) => {
      const connection = new JsonRpcConnection(stream, { holdsBack: true });
      connection.start({
        onMessage: (m) => {
          if (m.kind === 'request') connection.reply(m.id, text);
          maxBacklogBytes = Math.max(maxBacklogBytes, connection.backlogBytes);
        },
        onClose: () => undefined,
      });
    });
    const client = new JsonRpcConnection(await connectStream(parseTarget('unix:s', 1, dir)));
    const ids = Array.from({ length: 300 }, () => client.request('a', []));
    const seen: unknown[] = [];
    await new Promise<void>((resolve) => {
      client.start({
        onMessage: (m) => {
          if (m.kind === 'reply') seen.push(m.id);
          if (seen.length === ids.length) resolve();
        },
        onClose: () => undefined,
      });
    });
    expect(seen).toEqual(ids);
    expect(maxBacklogBytes).toBeLessThan(500_000);
    client.close();
    await listener.close();
  });
});

describe('unixctl', () => {
  it('answers commands in order, errors as errors, and JSON when asked', async () => {
    const commands = new UnixctlCommands('test (Open vSwitch) 3.1.0');
    const path = join(dir, 'ctl');
    commands.registerCommand(
      'later',
      '',
      0,
      0,
      async () => await new Promise<string>((resolve) => setImmediate(() => resolve('late'))),
    );
    commands.registerCommand('join', 'A B', 2, 3, (args) => ({ text: args.join(), json: args }));
    commands.registerCommand('fail', '', 0, 0, () => {
      throw new Error('no good');
    });
    const server = new UnixctlServer(commands);
    await server.listen(path);
    const client = await UnixctlClient.connect(path);
    expect(await client.call('version', [])).toEqual({
      isError: false,
      result: 'test (Open vSwitch) 3.1.0\n',
    });
    expect(await client.call('later', [])).toEqual({ isError: false, result: 'late\n' });
    expect(await client.call('join', ['a', 'b'])).toEqual({ isError: false, result: 'a,b\n' });
    expect(await client.call('join', ['a'])).toEqual({
      isError: true,
      result: '"join" command requires at least 2 arguments\n',
    });
    expect(await client.call('version', ['x'])).toEqual({
      isError: true,
      result: '"version" command takes at most 0 arguments\n',
    });
    expect(await client.call('fail', [])).toEqual({ isError: true, result: 'no good\n' });
    expect(await client.call('list-commands', [])).toEqual({
      isError: false,
      result:
        'The available commands are:\n  fail                    \n  join                    A B\n  later                   \n  list-commands           \n  version                 \n',
    });
    expect(await client.call('set-options', ['--format', 'json'])).toEqual({ isError: false, result: '' });
    expect(await client.call('join', ['a', 'b'])).toEqual({ isError: false, result: ['a', 'b'] });
    expect(await client.call('later', [])).toEqual({
      isError: false,
      result: { 'reply-format': 'plain', reply: 'late' },
    });
    client.close();
    await server.close();
  });
});
