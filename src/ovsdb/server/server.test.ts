import { describe, expect, it } from 'vitest';
import { ManualTimers } from '../../stream/timers.ts';
import type { Json } from '../../stream/json.ts';
import { schemaFromJson } from '../schema.ts';
import { Database } from './database.ts';
import { LockTable } from './locks.ts';
import { OvsdbServer } from './server.ts';

const schema = schemaFromJson({
  name: 'Db',
  version: '1.0.0',
  tables: {
    T: { columns: { n: { type: 'integer' }, s: { type: { key: 'string', min: 0, max: 'unlimited' } } } },
  },
});

function start(): {
  server: OvsdbServer;
  timers: ManualTimers;
  run: (...operations: Json[]) => { results: () => readonly Json[] | null; cancel: () => boolean };
} {
  const timers = new ManualTimers();
  const server = new OvsdbServer({ timers });
  const database = new Database(schema);
  server.addDatabase(database);
  const run = (...operations: Json[]): { results: () => readonly Json[] | null; cancel: () => boolean } => {
    let done: readonly Json[] | null = null;
    const cancel = server.transact({
      database,
      operations,
      isReadOnly: false,
      hasLock: () => false,
      onDone: (results) => {
        done = results;
      },
    });
    return { results: () => done, cancel };
  };
  return { server, timers, run };
}

const wait: Json = {
  op: 'wait',
  table: 'T',
  where: [],
  columns: ['n'],
  until: '==',
  rows: [{ n: 5 }],
  timeout: 100,
};
const insert = (n: Json): Json => ({ op: 'insert', table: 'T', row: { n } });

describe('OvsdbServer', () => {
  it('runs a waiting transaction when it is met, after the reply that met it', async () => {
    const { run } = start();
    const waiting = run(wait, insert(6));
    expect(waiting.results()).toBe(null);
    expect(run(insert(5)).results()).toHaveLength(1);
    expect(waiting.results()).toBe(null);
    await Promise.resolve();
    expect(waiting.results()?.[0]).toEqual({});
  });
  it('gives up at the time-out, and when cancelled', () => {
    const { run, timers } = start();
    const late = run(wait);
    const cancelled = run(wait);
    timers.advance(50);
    expect(cancelled.cancel()).toBe(true);
    expect(late.results()).toBe(null);
    timers.advance(60);
    expect(late.results()).toEqual([{ error: 'timed out', details: '"wait" timed out after 101 ms' }]);
    expect(cancelled.results()).toBe(null);
    expect(late.cancel()).toBe(false);
  });
  it('undoes everything when an operation fails', () => {
    const { run } = start();
    const failed = run(insert(1), { op: 'abort' }, insert(2)).results();
    expect(failed).toMatchObject([{}, { error: 'aborted' }, null]);
    expect(run({ op: 'select', table: 'T', where: [] }).results()).toEqual([{ rows: [] }]);
  });
  it('computes with 64-bit integers and refuses to overflow', () => {
    const { run } = start();
    run(insert(9007199254740993n));
    const add = (n: Json): Json => ({ op: 'mutate', table: 'T', where: [], mutations: [['n', '+=', n]] });
    run(add(2));
    expect(run({ op: 'select', table: 'T', where: [], columns: ['n'] }).results()).toEqual([
      { rows: [{ n: 9007199254740995n }] },
    ]);
    expect(run(add(2n ** 63n - 1n)).results()).toMatchObject([{ error: 'range error' }]);
  });
});

describe('LockTable', () => {
  it('queues, hands over and steals', () => {
    const told: string[] = [];
    const holder = (name: string) => ({
      onLocked: () => void told.push(`${name} locked`),
      onStolen: () => void told.push(`${name} stolen`),
    });
    const [a, b, c] = [holder('a'), holder('b'), holder('c')];
    const locks = new LockTable();
    expect([locks.lock('l', a), locks.lock('l', b)]).toEqual([true, false]);
    locks.steal('l', c);
    expect(locks.isOwner('l', c)).toBe(true);
    locks.release(c);
    expect(locks.isOwner('l', a)).toBe(true);
    locks.unlock('l', a);
    expect(locks.isOwner('l', b)).toBe(true);
    locks.release(b);
    expect(locks.isInvolved('l', b)).toBe(false);
    expect(told).toEqual(['a stolen', 'a locked', 'b locked']);
  });
});
