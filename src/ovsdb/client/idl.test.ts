import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualTimers } from '../../stream/timers.ts';
import { schemaFromJson } from '../schema.ts';
import { runOvsdbServer } from '../server/embed.ts';
import type { RunningOvsdbServer } from '../server/embed.ts';
import { openHosted } from '../server/open-hosted.ts';
import { createDatabase } from '../server/storage.ts';
import { Idl } from './idl.ts';
import type { IdlChange } from './replica.ts';

const schema = schemaFromJson({
  name: 'Db',
  version: '1.0.0',
  tables: {
    Top: {
      isRoot: true,
      columns: {
        name: { type: 'string' },
        count: { type: 'integer' },
        items: { type: { key: { type: 'uuid', refTable: 'Item' }, min: 0, max: 'unlimited' } },
        config: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        maybe: { type: { key: 'integer', min: 0 } },
      },
    },
    Item: { columns: { label: { type: 'string' } } },
  },
});

let dir: string;
let server: RunningOvsdbServer;
const idls: Idl[] = [];

async function startServer(): Promise<RunningOvsdbServer> {
  return await runOvsdbServer({
    files: [join(dir, 'db')],
    remotes: [`punix:${dir}/sock`],
    unixctlPath: null,
  });
}
function open(options: { lock?: string; timers?: ManualTimers } = {}): Idl {
  const idl = new Idl({ remote: `unix:${dir}/sock`, database: 'Db', tables: 'all', ...options });
  idls.push(idl);
  return idl.start();
}
async function until(idl: Idl, holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      const stops = [idl.onChange(() => done()), idl.onState(() => done())];
      const done = (): void => {
        for (const stop of stops) stop();
        resolve();
      };
    });
  }
}

/** As `until`, with timers that are due fired whenever nothing else happens. */
async function advanceUntil(timers: ManualTimers, holds: () => boolean): Promise<void> {
  while (!holds()) {
    timers.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'idl-'));
  createDatabase(join(dir, 'db'), schema);
  createDatabase(join(dir, 'other'), schema);
  server = await startServer();
});
afterEach(async () => {
  for (const idl of idls.splice(0)) idl.close();
  await server.close();
  rmSync(dir, { recursive: true });
});

describe('Idl', () => {
  it('replicates what transactions write, before their commit resolves', async () => {
    const idl = open();
    const other = open();
    await Promise.all([idl.ready(), other.ready()]);
    const changes: IdlChange[] = [];
    idl.onChange((list) => changes.push(...list));
    const transaction = idl.transaction();
    const item = transaction.insert('Item', { label: 'x' });
    const top = transaction.insert('Top', { name: 'a', items: [item], config: { k: 'v' }, maybe: 5 });
    expect(transaction.datum('Top', top, 'items').keys).toEqual([item]);
    transaction.increment('Top', top, 'count');
    expect(await transaction.commit()).toBe('success');
    expect(transaction.incrementResult).toBe(1);
    const row = idl.row('Top', transaction.realUuid(top) ?? '');
    expect(row?.get('name')).toBe('a');
    expect(row?.get('config')).toEqual(new Map([['k', 'v']]));
    expect(row?.get('maybe')).toBe(5);
    expect(row?.num('count')).toBe(1);
    expect(row === undefined ? [] : idl.refs(row, 'items').map((r) => r.str('label'))).toEqual(['x']);
    expect(changes.map((c) => `${c.kind} ${c.table}`).sort()).toEqual(['insert Item', 'insert Top']);
    await until(other, () => other.rows('Top').length === 1);
    expect(other.rows('Top')[0]?.str('name')).toBe('a');
  });

  it('tells nothing-to-do, conflicts and errors apart', async () => {
    const idl = open();
    await idl.ready();
    const first = idl.transaction();
    const uuid = first.insert('Top', { name: 'a' });
    await first.commit();
    const top = first.realUuid(uuid) ?? '';
    const same = idl.transaction();
    same.update('Top', top, { name: 'a' });
    expect(await same.commit()).toBe('unchanged');

    const other = open();
    await other.ready();
    const [mine, theirs] = [idl.transaction(), other.transaction()];
    for (const [t, name] of [
      [mine, 'b'],
      [theirs, 'c'],
    ] as const) {
      t.verify('Top', top, 'name');
      t.update('Top', top, { name });
    }
    const outcomes = await Promise.all([mine.commit(), theirs.commit()]);
    expect([...outcomes].sort()).toEqual(['success', 'try again']);

    const bad = idl.transaction();
    bad.update('Top', top, { items: ['00000000-0000-4000-8000-000000000000'] });
    expect(await bad.commit()).toBe('error');
    expect(bad.error?.code).toBe('referential integrity violation');
    const dry = idl.transaction();
    dry.isDryRun = true;
    dry.update('Top', top, { name: 'never' });
    await dry.commit();
    expect(idl.row('Top', top)?.str('name')).not.toBe('never');
  });

  it('waits for a database that the server lost before the request came', async () => {
    const idl = open();
    await idl.ready();
    server.server.removeDatabase('Db');
    const done = idl.transact((t) => t.insert('Top', { name: 'late' }));
    await idl.call('echo', []);
    openHosted(server.server, join(dir, 'db'));
    await done;
    expect(idl.rows('Top').map((row) => row.str('name'))).toEqual(['late']);
  });

  it('tries again when a relay cancels the transaction, with one remote and no other change', async () => {
    const socket = join(dir, 'relay');
    const source = `relay:Db:unix:${dir}/sock`;
    const relay = await runOvsdbServer({ files: [source], remotes: [`punix:${socket}`], unixctlPath: null });
    const idl = new Idl({ remote: `unix:${socket}`, database: 'Db', tables: 'all' });
    idls.push(idl);
    await idl.start().ready();
    await server.close();
    while (relay.server.hosted('Db')?.isConnected === true)
      await new Promise((resolve) => setImmediate(resolve));
    let tries = 0;
    const done = idl.transact((t) => {
      tries++;
      t.insert('Top', { name: 'once' });
    });
    // The request waits at the relay when this has its reply.
    await idl.call('echo', []);
    relay.server.removeDatabase('Db');
    server = await startServer();
    openHosted(relay.server, source);
    await done;
    expect(tries).toBeGreaterThan(1);
    expect(idl.rows('Top').filter((row) => row.str('name') === 'once')).toHaveLength(1);
    idl.close();
    await relay.close();
  });

  it('mutates maps and sets on the server', async () => {
    const idl = open();
    await idl.ready();
    const t = idl.transaction();
    const temporary = t.insert('Top', { config: { a: '1', b: '2' } });
    await t.commit();
    const top = t.realUuid(temporary) ?? '';
    const m = idl.transaction();
    m.mutate('Top', top, 'config', 'delete', ['a']);
    m.mutate('Top', top, 'config', 'insert', { c: '3' });
    m.mutate('Top', top, 'count', '+=', 7);
    expect(await m.commit()).toBe('success');
    expect(idl.row('Top', top)?.get('config')).toEqual(
      new Map([
        ['b', '2'],
        ['c', '3'],
      ]),
    );
    expect(idl.row('Top', top)?.num('count')).toBe(7);
  });

  it('adds to columns without touching what others add meanwhile', async () => {
    const [idl, other] = [open(), open()];
    await Promise.all([idl.ready(), other.ready()]);
    const first = idl.transaction();
    const temporary = first.insert('Top', { config: { a: '1', b: '2' } });
    await first.commit();
    const top = first.realUuid(temporary) ?? '';
    await until(other, () => other.row('Top', top) !== undefined);
    const [mine, theirs] = [idl.transaction(), other.transaction()];
    mine.add('Top', top, 'config', { keys: ['a'], values: ['9'] });
    mine.add('Top', top, 'config', { keys: ['c'], values: ['3'] });
    expect(mine.datum('Top', top, 'config')).toEqual({ keys: ['a', 'b', 'c'], values: ['9', '2', '3'] });
    theirs.add('Top', top, 'config', { keys: ['d'], values: ['4'] });
    expect(await Promise.all([mine.commit(), theirs.commit()])).toEqual(['success', 'success']);
    await until(idl, () => idl.row('Top', top)?.smap('config', 'd') === '4');
    expect(idl.row('Top', top)?.strMap('config')).toEqual(
      new Map([
        ['a', '9'],
        ['b', '2'],
        ['c', '3'],
        ['d', '4'],
      ]),
    );
    const same = idl.transaction();
    same.add('Top', top, 'config', { keys: ['a'], values: ['9'] });
    expect(await same.commit()).toBe('unchanged');
  });

  it('inserts a row with the uuid it is to keep, and leaves rows that are no roots to the server', async () => {
    const idl = open();
    await idl.ready();
    const uuid = '11111111-2222-4333-8444-555555555555';
    const t = idl.transaction();
    t.insertAs('Item', uuid, true);
    t.update('Item', uuid, { label: 'kept' });
    t.insert('Top', { name: 'a', items: [uuid] });
    expect(await t.commit()).toBe('success');
    expect(idl.row('Item', uuid)?.str('label')).toBe('kept');
    const ignored = idl.transaction();
    ignored.delete('Item', uuid);
    expect(ignored.uuids('Item')).toEqual([]);
    expect(await ignored.commit()).toBe('unchanged');
    expect(idl.row('Item', uuid)?.str('label')).toBe('kept');
  });

  it('holds a lock, and the next in line gets it', async () => {
    const holder = open({ lock: 'l' });
    await holder.ready();
    const waiter = open({ lock: 'l' });
    await waiter.ready();
    expect([holder.hasLock, waiter.hasLock, waiter.isLockContended]).toEqual([true, false, true]);
    const refused = waiter.transaction();
    refused.insert('Top');
    expect(await refused.commit()).toBe('not locked');
    holder.close();
    await until(waiter, () => waiter.hasLock);
    const allowed = waiter.transaction();
    allowed.insert('Top');
    expect(await allowed.commit()).toBe('success');
  });

  it('keeps its rows while the server is away and tells the differences afterwards', async () => {
    const timers = new ManualTimers();
    const idl = open({ timers });
    await idl.ready();
    const t = idl.transaction();
    t.insert('Top', { name: 'stays', config: { k: 'v' } });
    t.insert('Top', { name: 'goes' });
    await t.commit();
    const [stays] = idl.rows('Top').filter((r) => r.str('name') === 'stays');
    await server.close();
    await until(idl, () => !idl.isConnected);
    expect(idl.rows('Top').length).toBe(2);
    server = await startServer();
    const writer = open();
    await writer.ready();
    const change = writer.transaction();
    for (const row of writer.rows('Top')) {
      if (row.str('name') === 'goes') change.delete('Top', row.uuid);
      else change.update('Top', row.uuid, { config: {}, maybe: 1 });
    }
    await change.commit();
    const changes: string[] = [];
    idl.onChange((list) =>
      changes.push(...list.map((c) => `${c.kind} ${c.row.str('name')} ${c.columns.join()}`)),
    );
    timers.advance(1000);
    await until(idl, () => idl.isSynced);
    expect(changes.sort()).toEqual(['delete goes ', 'modify stays config,maybe']);
    expect(idl.rows('Top')[0]).toBe(stays);
  });

  it('rejects when the database does not exist or nobody listens', async () => {
    const wrong = new Idl({ remote: `unix:${dir}/sock`, database: 'Nope', tables: 'all' }).start();
    await expect(wrong.ready()).rejects.toMatchObject({ code: 'unknown database' });
    wrong.close();
    const nobody = new Idl({
      remote: `unix:${dir}/none`,
      database: 'Db',
      tables: 'all',
      maxTries: 1,
    }).start();
    await expect(nobody.ready()).rejects.toThrow('No such file or directory');
    nobody.close();
  });

  it('goes on with another server when one goes away, and tells only differences', async () => {
    const second = await runOvsdbServer({
      files: [join(dir, 'other')],
      remotes: [`punix:${dir}/sock2`],
      unixctlPath: null,
    });
    const timers = new ManualTimers();
    const idl = new Idl({
      remote: `unix:${dir}/none,unix:${dir}/sock,unix:${dir}/sock2`,
      shuffleRemotes: false,
      database: 'Db',
      tables: 'all',
      timers,
    });
    idls.push(idl);
    try {
      idl.start();
      // The first fails and the second follows without back-off: no time passes here but by the timers.
      await advanceUntil(timers, () => idl.isSynced);
      expect([idl.remote, timers.clock.nowMs()]).toEqual([`unix:${dir}/sock`, 0]);
      await idl.transact((t) => {
        t.insert('Top', { name: 'only here' });
      });
      const changes: string[] = [];
      idl.onChange((list) => changes.push(...list.map((c) => `${c.kind} ${c.row.str('name')}`)));
      await server.close();
      // Without back-off it may be connected again before anybody looks.
      await advanceUntil(timers, () => idl.isSynced && idl.remote === `unix:${dir}/sock2`);
      expect(changes).toEqual(['delete only here']);
    } finally {
      idl.close();
      await second.close();
    }
  });

  it('holds the rows of its condition, which may change', async () => {
    const writer = open();
    await writer.ready();
    await writer.transact((t) => {
      for (const name of ['a', 'b', 'c']) t.insert('Top', { name });
    });
    const idl = new Idl({
      remote: `unix:${dir}/sock`,
      database: 'Db',
      tables: { Top: ['name'] },
      conditions: { Top: [['name', '==', 'a']] },
    }).start();
    idls.push(idl);
    await idl.ready();
    const names = (): string[] =>
      idl
        .rows('Top')
        .map((row) => row.str('name'))
        .sort();
    expect(names()).toEqual(['a']);
    const changes: string[] = [];
    idl.onChange((list) => changes.push(...list.map((c) => `${c.kind} ${c.row.str('name')}`)));
    await idl.setCondition('Top', [
      ['name', '==', 'b'],
      ['name', '==', 'c'],
    ]);
    expect(names()).toEqual(['b', 'c']);
    expect(changes.sort()).toEqual(['delete a', 'insert b', 'insert c']);
    await idl.setCondition('Top', []);
    expect(names()).toEqual([]);
    await idl.setCondition('Top', [true]);
    expect(names()).toEqual(['a', 'b', 'c']);
  });

  it('writes parts of maps and sets without touching what others wrote', async () => {
    const [one, two] = [open(), open()];
    await Promise.all([one.ready(), two.ready()]);
    const made = await one.transact((t) => {
      t.insertAs('Top', 'aaaaaaaa-0000-4000-8000-000000000000');
    });
    const top = made.realUuid('aaaaaaaa-0000-4000-8000-000000000000') ?? '';
    await until(two, () => two.row('Top', top) !== undefined);
    await Promise.all([
      one.transact((t) => {
        t.setKey('Top', top, 'config', 'one', '1');
        t.insertElements('Top', top, 'items', [t.insert('Item', { label: 'i' })]);
      }),
      two.transact((t) => t.setKey('Top', top, 'config', 'two', '2')),
    ]);
    await until(one, () => one.row('Top', top)?.set('config').length === 2);
    const row = one.row('Top', top);
    expect(row === undefined ? [] : one.refs(row, 'items').map((item) => item.str('label'))).toEqual(['i']);
    await one.transact((t) => {
      t.setKey('Top', top, 'config', 'two', '22');
      t.deleteKey('Top', top, 'config', 'one');
    });
    expect(row?.get('config')).toEqual(new Map([['two', '22']]));
  });

  it('builds a transaction again when what it verified had changed', async () => {
    const clients = Array.from({ length: 4 }, () => open());
    await Promise.all(clients.map((idl) => idl.ready()));
    const made = await clients[0]?.transact((t) => {
      t.insert('Top', { name: '' });
    });
    expect(made?.error).toBeUndefined();
    await Promise.all(clients.map((idl) => until(idl, () => idl.rows('Top').length === 1)));
    await Promise.all(
      clients.map((idl, i) =>
        idl.transact((t) => {
          const [row] = idl.rows('Top');
          t.verify('Top', row?.uuid ?? '', 'name');
          t.update('Top', row?.uuid ?? '', { name: `${row?.str('name') ?? ''}${i}` });
        }),
      ),
    );
    await until(clients[0] ?? open(), () => clients[0]?.rows('Top')[0]?.str('name').length === 4);
    expect(clients[0]?.rows('Top')[0]?.str('name')).toMatch(/^(?:([0-3])(?!.*\1)){4}$/);
  });
});
