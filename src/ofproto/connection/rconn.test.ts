import { beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../util/clock.ts';
import { MemoryConnections, MemoryTransport, connectPair } from '../testing/bench.ts';
import { encodeHello } from './hello.ts';
import { OutCounter, Rconn } from './rconn.ts';
import type { RconnOptions } from './rconn.ts';

const versions10and13 = 0b10010;
let clock: ManualClock;
let connections: MemoryConnections;
let options: RconnOptions;

beforeEach(() => {
  clock = new ManualClock(1_000_000);
  connections = new MemoryConnections();
  options = {
    clock,
    factory: connections,
    maxBackoffSec: 8,
    probeIntervalSec: 5,
    allowedVersions: versions10and13,
    wake: () => undefined,
  };
});

/** The far end: collects bytes, sends what it is told. */
class Peer {
  readonly transport = new MemoryTransport('peer');
  readonly received: Uint8Array[] = [];
  closed = false;
  constructor() {
    this.transport.onData = (bytes) => this.received.push(bytes.slice());
    this.transport.onClose = () => {
      this.closed = true;
    };
  }
  send(...bytes: number[]): void {
    this.transport.send(Uint8Array.from(bytes));
  }
}

function accepted(): { rconn: Rconn; peer: Peer } {
  const own = new MemoryTransport('unix#1');
  const peer = new Peer();
  connectPair(own, peer.transport);
  return { rconn: Rconn.accept(own, 'br0<->unix#1', options), peer };
}
const hello = (version: number): Uint8Array => encodeHello((2 << version) - 2, 1);

describe('negotiation', () => {
  test('takes the highest common version', () => {
    const { rconn, peer } = accepted();
    expect(rconn.isConnected).toBe(false);
    expect([...(peer.received[0] ?? [])]).toEqual([4, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x12]);
    peer.transport.send(hello(6));
    expect([rconn.state, rconn.version]).toEqual(['ACTIVE', 4]);
  });
  test('without a common version it says why and hangs up', () => {
    const { rconn, peer } = accepted();
    peer.transport.send(Uint8Array.of(6, 0, 0, 16, 0, 0, 0, 5, 0, 1, 0, 8, 0, 0, 0, 0x20));
    const error = peer.received[1] ?? new Uint8Array();
    expect([...error.subarray(0, 12)]).toEqual([5, 1, 0, 89, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(new TextDecoder().decode(error.subarray(12))).toBe(
      'We support versions 0x01, 0x04, you support version 0x05, no common versions.',
    );
    expect([rconn.isAlive, peer.closed]).toEqual([false, true]);
  });
  test('anything but a hello ends it', () => {
    const { rconn, peer } = accepted();
    peer.send(1, 2, 0, 8, 0, 0, 0, 1);
    expect([rconn.state, peer.closed]).toEqual(['DISCONNECTED', true]);
  });
});

describe('probes', () => {
  test('an idle peer is asked, then dropped', () => {
    const { rconn, peer } = accepted();
    peer.transport.send(hello(1));
    clock.advance(5000);
    expect(rconn.wakeAtMs).toBe(clock.nowMs());
    rconn.run(clock.nowMs());
    expect(rconn.state).toBe('IDLE');
    expect(peer.received.at(-1)?.[1]).toBe(2);
    clock.advance(5000);
    rconn.run(clock.nowMs());
    expect([rconn.state, peer.closed]).toEqual(['DISCONNECTED', true]);
  });
  test('any message counts as life', () => {
    const { rconn, peer } = accepted();
    peer.transport.send(hello(1));
    clock.advance(5000);
    rconn.run(clock.nowMs());
    peer.send(1, 3, 0, 8, 0, 0, 0, 1);
    expect(rconn.state).toBe('ACTIVE');
    expect(rconn.wakeAtMs).toBe(clock.nowMs() + 5000);
  });
});

describe('a kept-up connection', () => {
  const answer = (): Peer => {
    const attempt = connections.attempts.at(-1);
    if (attempt === undefined) throw new Error('no attempt');
    const peer = new Peer();
    connectPair(attempt.transport, peer.transport);
    attempt.transport.onConnect();
    return peer;
  };
  const refuse = (): void => {
    connections.attempts.at(-1)?.transport.onClose('Connection refused');
  };

  test('backs off 1, 2, 4, 8, 8 seconds and tries again', () => {
    const rconn = Rconn.connect('tcp:127.0.0.1:6653', 'br0<->tcp:127.0.0.1:6653', options);
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      refuse();
      expect([rconn.state, rconn.lastError]).toEqual(['BACKOFF', 'Connection refused']);
      waits.push((rconn.wakeAtMs - clock.nowMs()) / 1000);
      clock.advance(rconn.wakeAtMs - clock.nowMs());
      rconn.run(clock.nowMs());
      expect(rconn.state).toBe('CONNECTING');
    }
    expect(waits).toEqual([1, 2, 4, 8, 8]);
    expect(connections.attempts).toHaveLength(6);
  });

  test('gives up an attempt that hangs', () => {
    const rconn = Rconn.connect('tcp:1.2.3.4:6653', 'c', options);
    clock.advance(1000);
    rconn.run(clock.nowMs());
    expect([rconn.state, rconn.lastError]).toEqual(['BACKOFF', 'Connection timed out']);
  });

  test('is admitted by the first real request and counts the time since it was', () => {
    const rconn = Rconn.connect('tcp:127.0.0.1:6653', 'c', options);
    const peer = answer();
    clock.advance(3000);
    peer.transport.send(hello(4));
    peer.send(4, 5, 0, 8, 0, 0, 0, 1);
    rconn.receive();
    expect([rconn.isConnected, rconn.isAdmitted, rconn.failureDurationSec(clock.nowMs())]).toEqual([
      true,
      false,
      3,
    ]);
    peer.send(4, 20, 0, 8, 0, 0, 0, 1);
    rconn.receive();
    expect(rconn.isAdmitted).toBe(false);
    peer.send(4, 14, 0, 8, 0, 0, 0, 1);
    rconn.receive();
    expect([rconn.isAdmitted, rconn.failureDurationSec(clock.nowMs())]).toEqual([true, 0]);
    peer.transport.close();
    clock.advance(4000);
    expect([rconn.state, rconn.failureDurationSec(clock.nowMs())]).toEqual(['BACKOFF', 4]);
  });
});

test('output waits while the transport is full, and is counted and bounded', () => {
  const own = new MemoryTransport('unix#2');
  const peer = new Peer();
  connectPair(own, peer.transport);
  const rconn = Rconn.accept(own, 'c', options);
  peer.transport.send(hello(4));
  own.blocked = [];
  const counter = new OutCounter();
  let accepted = 0;
  while (rconn.sendWithLimit(new Uint8Array(16 * 1024), counter, 100)) accepted++;
  // 16 fill the transport's 256 KiB, 100 wait here.
  expect(accepted).toBe(116);
  expect(counter).toMatchObject({ packets: 100, bytes: 100 * 16 * 1024 });
  const before = peer.received.length;
  own.unblock();
  expect(peer.received.length - before).toBe(116);
  expect(counter).toMatchObject({ packets: 0, bytes: 0 });
});
