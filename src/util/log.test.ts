import { afterEach, describe, expect, it } from 'vitest';
import { rateLimit, setVlogSink, vlog } from './log.ts';

describe('rate limits', () => {
  let nowMs = 0;
  const lines: string[] = [];
  afterEach(() => {
    setVlogSink(
      () => undefined,
      '',
      () => 0,
    );
  });

  it('let a burst pass, then some a minute, and tell how many were dropped and when', () => {
    setVlogSink(
      (record) => lines.push(record.message),
      '',
      () => nowMs,
    );
    const log = vlog('log_test');
    const limit = rateLimit(6, 2);
    for (const message of ['a', 'b', 'c']) log.info(message, limit);
    nowMs += 4_000;
    log.info('d', limit);
    expect(lines).toEqual(['a', 'b']);
    nowMs += 7_000;
    log.info('e', limit);
    expect(lines.slice(2)).toEqual([
      'Dropped 2 log messages in last 11 seconds (most recently, 7 seconds ago) due to excessive rate',
      'e',
    ]);
    log.honorRateLimits = false;
    log.info('f', limit);
    expect(lines.at(-1)).toBe('f');
  });
});
