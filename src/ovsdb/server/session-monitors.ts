/**
 * The monitors of one client, and the updates that it has yet to get.
 *
 * While the client does not take what was sent, commits are merged per monitor instead of being sent, so
 * that a slow client costs at most one change a row; it gets them as one update when it reads again.
 * Updates go before the reply of the transaction that caused them: `flush` sends what is merged.
 */
import { formatJson, isJsonArray, isJsonObject, jsonEquals } from '../../stream/index.ts';
import type { Json, JsonRpcConnection } from '../../stream/index.ts';
import { isUuid } from '../data/atom.ts';
import { OvsdbError } from '../errors.ts';
import type { Database } from './database.ts';
import { Monitor } from './monitor.ts';
import type { MonitorVersion } from './monitor.ts';
import { MergedChanges } from './monitor-sharing.ts';
import type { CommitUpdates, MonitorClass, MonitorClasses } from './monitor-sharing.ts';

/** Bytes that wait for the client from which on updates are merged. More than a stream's `onDrain` needs. */
const mergeFromBytes = 32 * 1024;

interface Followed {
  readonly monitor: Monitor;
  /** Dialect and request as text. */
  readonly request: string;
  /** What monitor_cond_change put in the place of the request's conditions, by table. */
  readonly conditions: Record<string, Json>;
  monitorClass: MonitorClass;
  readonly merged: MergedChanges;
}

export class SessionMonitors {
  readonly #connection: JsonRpcConnection;
  readonly #classes: MonitorClasses;
  readonly #followed: Followed[] = [];

  constructor(connection: JsonRpcConnection, classes: MonitorClasses) {
    this.#connection = connection;
    this.#classes = classes;
  }

  contents(): string[] {
    return this.#followed.map(({ monitor }) => monitor.contents);
  }

  #find(id: Json): Followed | undefined {
    return this.#followed.find(({ monitor }) => jsonEquals(monitor.id, id));
  }

  /** @returns the result of the request. @throws OvsdbError */
  add(database: Database, params: readonly Json[], version: MonitorVersion): Json {
    // More than it needs a `monitor` passes over.
    const wanted = version === 3 ? 4 : 3;
    if (params.length < wanted || (version > 1 && params.length > wanted)) {
      throw new OvsdbError('syntax error', 'invalid parameters', params);
    }
    const [, id = null, requests = null, lastId = null] = params;
    if (!isJsonObject(requests))
      throw new OvsdbError('syntax error', 'monitor-requests must be object', requests);
    if (this.#find(id) !== undefined) throw new OvsdbError('syntax error', 'duplicate monitor ID', id);
    const monitor = new Monitor(database, id, requests, version);
    const since = version === 3 ? txnId(lastId) : null;
    const request = `${version} ${formatJson(requests, true)}`;
    const monitorClass = this.#classes.acquire(request);
    this.#followed.push({ monitor, request, conditions: {}, monitorClass, merged: new MergedChanges() });
    return since === null ? monitor.initial() : monitor.initialSince(since);
  }

  /** Serves `monitor_cond_change`. @throws OvsdbError */
  change(params: readonly Json[]): void {
    if (params.length !== 3) throw new OvsdbError('syntax error', 'invalid parameters', params);
    const [id = null, newId = null, requests = null] = params;
    const followed = this.#find(id);
    if (followed === undefined) throw new OvsdbError('syntax error', 'unknown monitor session', id);
    const { monitor } = followed;
    if (!jsonEquals(id, newId) && this.#find(newId) !== undefined)
      throw new OvsdbError('syntax error', 'duplicate monitor ID', newId);
    // What was merged is to be seen through the old conditions.
    this.#flushOne(followed);
    const updates = monitor.changeConditions(requests);
    monitor.id = newId;
    if (isJsonObject(requests)) {
      for (const [table, list] of Object.entries(requests)) {
        const last = isJsonArray(list) ? list.at(-1) : undefined;
        if (last !== undefined) followed.conditions[table] = last;
      }
    }
    this.#classes.release(followed.monitorClass);
    followed.monitorClass = this.#classes.acquire(
      `${followed.request} ${formatJson(followed.conditions, true)}`,
    );
    if (updates !== null) this.#send(monitor, formatJson(updates));
  }

  /** @returns whether there was such a monitor */
  cancel(id: Json): boolean {
    const followed = this.#find(id);
    if (followed === undefined) return false;
    this.#remove(followed);
    return true;
  }

  #remove(followed: Followed): void {
    this.#followed.splice(this.#followed.indexOf(followed), 1);
    this.#classes.release(followed.monitorClass);
  }

  /** Ends the monitors of a database that is no longer there, and tells the client. */
  cancelAll(database: Database): void {
    for (const followed of this.#followed.filter(({ monitor }) => monitor.database === database)) {
      this.#remove(followed);
      this.#connection.notify('monitor_canceled', [followed.monitor.id]);
    }
  }

  onCommit(updates: CommitUpdates): void {
    for (const followed of this.#followed) {
      const { monitor, monitorClass, merged } = followed;
      if (monitor.database !== updates.database) continue;
      if (!merged.isEmpty || this.#connection.backlogBytes > mergeFromBytes) merged.add(updates.changes);
      else {
        const text = updates.textFor(monitor, monitorClass);
        if (text !== null) this.#send(monitor, text);
      }
    }
  }

  /** Sends what is merged. @param isForced Also while the client does not read. */
  flush(isForced: boolean): void {
    for (const followed of this.#followed) {
      if (!isForced && this.#connection.backlogBytes > mergeFromBytes) return;
      this.#flushOne(followed);
    }
  }

  #flushOne({ monitor, merged }: Followed): void {
    if (merged.isEmpty) return;
    const updates = monitor.updates(merged.changes);
    merged.clear();
    if (updates !== null) this.#send(monitor, formatJson(updates));
  }

  /** @param updates `<table-updates>` as text, which many clients share. */
  #send(monitor: Monitor, updates: string): void {
    const id = formatJson(monitor.id);
    const method = { 1: 'update', 2: 'update2', 3: 'update3' }[monitor.version];
    const params =
      monitor.version === 3 ? `${id},"${monitor.database.history.latestId}",${updates}` : `${id},${updates}`;
    this.#connection.sendText(`{"id":null,"method":"${method}","params":[${params}]}`);
  }

  /** The client has gone. */
  clear(): void {
    for (const { monitorClass } of this.#followed) this.#classes.release(monitorClass);
    this.#followed.length = 0;
  }
}

/** @throws OvsdbError */
function txnId(json: Json): string {
  if (typeof json !== 'string') throw new OvsdbError('syntax error', 'last-txn-id must be string', json);
  if (!isUuid(json)) throw new OvsdbError('syntax error', 'last-txn-id must be UUID format.', json);
  return json;
}
