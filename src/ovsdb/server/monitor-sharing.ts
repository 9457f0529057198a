/**
 * One commit, many monitors: monitors that ask for the same get the same text, which is made once.
 *
 * A `MonitorClass` stands for the wishes of a monitor (dialect, request, conditions); equal wishes are
 * one object, counted by the monitors that have it. `CommitUpdates` keeps, for the time of one commit,
 * the `<table-updates>` text of each class.
 */
import { formatJson } from '../../stream/index.ts';
import type { Changes, Database, RowChange } from './database.ts';
import type { Monitor } from './monitor.ts';

export interface MonitorClass {
  readonly key: string;
  /** Monitors of this class. */
  count: number;
}

export class MonitorClasses {
  readonly #classes = new Map<string, MonitorClass>();

  get size(): number {
    return this.#classes.size;
  }

  /** @param key Text that says everything on which updates depend. */
  acquire(key: string): MonitorClass {
    let found = this.#classes.get(key);
    if (found === undefined) this.#classes.set(key, (found = { key, count: 0 }));
    found.count++;
    return found;
  }
  release(monitorClass: MonitorClass): void {
    if (--monitorClass.count === 0) this.#classes.delete(monitorClass.key);
  }
}

export class CommitUpdates {
  readonly database: Database;
  readonly changes: Changes;
  readonly #texts = new Map<MonitorClass, string | null>();

  constructor(database: Database, changes: Changes) {
    this.database = database;
    this.changes = changes;
  }

  /** What the commit means for a monitor, as JSON text; null if nothing. */
  textFor(monitor: Monitor, monitorClass: MonitorClass): string | null {
    const known = this.#texts.get(monitorClass);
    if (known !== undefined) return known;
    const updates = monitor.updates(this.changes);
    const text = updates === null ? null : formatJson(updates);
    this.#texts.set(monitorClass, text);
    return text;
  }
}

/**
 * Changes of several commits as if they had been one: per row the oldest and the newest state. It never
 * holds more than one entry for each row that ever was, since rows that came and went leave it.
 */
export class MergedChanges {
  readonly #rows = new Map<string, RowChange>();

  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }
  get changes(): Changes {
    return [...this.#rows.values()];
  }

  add(changes: Changes): void {
    for (const change of changes) {
      const key = `${change.table.schema.name} ${change.uuid}`;
      const before = this.#rows.get(key);
      const old = before === undefined ? change.old : before.old;
      if (old === change.new) this.#rows.delete(key);
      else this.#rows.set(key, { table: change.table, uuid: change.uuid, old, new: change.new });
    }
  }
  clear(): void {
    this.#rows.clear();
  }
}
