import { describe, expect, it } from 'vitest';
import { Reconnect } from './reconnect.ts';

describe('Reconnect', () => {
  it('doubles its back-off up to the maximum', () => {
    const r = new Reconnect('test');
    let nowMs = 0;
    r.enable(nowMs);
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      nowMs = r.deadlineMs;
      expect(r.run(nowMs)).toBe('connect');
      r.connecting(nowMs);
      r.connectFailed(nowMs, 'Connection refused');
      waits.push(r.deadlineMs - nowMs);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('starts over after a connection that lasted', () => {
    const r = new Reconnect('test');
    r.enable(0);
    r.connecting(0);
    r.connectFailed(0, 'x');
    r.connecting(1000);
    r.connected(1000);
    r.disconnected(1500, '');
    expect(r.backoffMs).toBe(2000);
    r.connecting(3500);
    r.connected(3500);
    r.disconnected(9000, '');
    expect(r.backoffMs).toBe(1000);
  });

  it('probes after silence, and drops a peer that does not answer', () => {
    const r = new Reconnect('test', { probeIntervalMs: 5000 });
    r.enable(0);
    r.connecting(0);
    r.connected(0);
    expect(r.run(4999)).toBe(null);
    expect(r.run(5000)).toBe('probe');
    r.activity(6000);
    expect(r.state).toBe('active');
    expect(r.run(10_999)).toBe(null);
    expect(r.run(11_000)).toBe('probe');
    expect(r.run(16_000)).toBe('disconnect');
  });

  it('never probes with an interval of 0 and stops after its tries', () => {
    const r = new Reconnect('test', { probeIntervalMs: 0, maxTries: 1 });
    r.enable(0);
    r.connecting(0);
    r.connected(0);
    expect(r.deadlineMs).toBe(Infinity);
    r.disconnected(10, 'x');
    expect(r.state).toBe('void');
  });
});
