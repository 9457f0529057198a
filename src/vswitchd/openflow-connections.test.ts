import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { OfConnTransport } from '../ofproto/ofproto-types.ts';
import { SocketConnections } from './openflow-connections.ts';

it('tells when the kernel has taken what a slow reader held up', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'of-'));
  const connections = new SocketConnections(dir);
  const accepted = new Promise<OfConnTransport>((resolve) => {
    const listener = connections.listen(`punix:${join(dir, 's')}`, 0, (transport) => {
      listener.close();
      resolve(transport);
    });
  });
  await connections.settled();
  const peer = connect(join(dir, 's'));
  peer.pause();
  const transport = await accepted;
  const bytes = 8 << 20;
  const drained = new Promise<number>((resolve) => {
    transport.onDrain = () => {
      resolve(transport.queuedBytes);
    };
  });
  transport.send(new Uint8Array(bytes));
  expect(transport.queuedBytes).toBeGreaterThan(0);
  let read = 0;
  peer.on('data', (chunk) => (read += chunk.length));
  peer.resume();
  expect(await drained).toBe(0);
  transport.close();
  await new Promise((resolve) => peer.once('close', resolve));
  expect(read).toBe(bytes);
  rmSync(dir, { recursive: true });
});
