/**
 * What a server says about a database in its own `_Server` database, and whether a client should use it.
 *
 * A client of a cluster wants a member that is part of the cluster and, if it writes much or must not
 * read old data, the leader; a relay must have its source. Source: ovsdb-server(5), ovsdb-server(7) §5.
 */
import { isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';

export const SERVER_DATABASE = '_Server';

/** One row of `_Server`'s table Database, of columns that the server has. */
export interface ServerStatus {
  readonly name: string;
  /** `standalone`, `clustered` or `relay`. */
  readonly model: string;
  readonly connected: boolean;
  readonly leader: boolean;
  /** The schema as JSON text; null while a member or relay has none yet. */
  readonly schema: string | null;
  /** Cluster id; null if not clustered. */
  readonly cid: string | null;
  /** Raft log index; null if not clustered. */
  readonly index: number | null;
}

/** Columns of `_Server.Database` that decide. */
export const serverColumns: readonly string[] = [
  'name',
  'model',
  'connected',
  'leader',
  'schema',
  'cid',
  'index',
];

/** `_Server.Database` as its monitor tells it. */
export class ServerStatusRows {
  readonly #rows = new Map<string, Record<string, Json>>();

  /**
   * Takes the initial contents or an update (`update` or `update2` form).
   *
   * @throws OvsdbError `syntax error`
   */
  apply(json: Json): void {
    const table = isJsonObject(json) ? (json['Database'] ?? {}) : null;
    if (!isJsonObject(table)) throw new OvsdbError('syntax error', '<table-updates> is not an object');
    for (const [uuid, update] of Object.entries(table)) {
      if (!isJsonObject(update)) throw new OvsdbError('syntax error', `bad update of row ${uuid}`);
      this.#applyRow(uuid, update);
    }
  }

  #applyRow(uuid: string, update: JsonObject): void {
    const contents = update['initial'] ?? update['insert'] ?? update['modify'] ?? update['new'];
    if (!isJsonObject(contents)) this.#rows.delete(uuid);
    // No column here holds more than one element, so a modification gives the new contents too.
    else this.#rows.set(uuid, { ...('modify' in update ? this.#rows.get(uuid) : {}), ...contents });
  }

  /** Status of a database by its name, undefined if the server has none of it. */
  of(name: string): ServerStatus | undefined {
    for (const row of this.#rows.values()) if (row['name'] === name) return statusFromRow(name, row);
    return undefined;
  }
}

function statusFromRow(name: string, row: Readonly<Record<string, Json>>): ServerStatus {
  const { model, connected, leader, schema, index } = row;
  const cid = row['cid'];
  return {
    name,
    model: typeof model === 'string' ? model : 'standalone',
    connected: connected === true,
    leader: leader === true,
    schema: typeof schema === 'string' ? schema : null,
    cid: isJsonArray(cid) && cid[0] === 'uuid' && typeof cid[1] === 'string' ? cid[1] : null,
    index: typeof index === 'number' || typeof index === 'bigint' ? Number(index) : null,
  };
}

/**
 * Why a client should go to another server, in OVS's words, or null if this one will do.
 *
 * @param minIndex Raft index that the client has seen: older data would be a step back.
 */
export function whyUnfit(
  status: ServerStatus | undefined,
  database: string,
  leaderOnly: boolean,
  minIndex: number,
): string | null {
  if (status === undefined) return `server does not have ${database} database`;
  if (status.model === 'clustered') {
    const server = 'clustered database server';
    if (status.schema === null) return `${server} has not yet joined cluster; trying another server`;
    if (!status.connected) return `${server} is disconnected from cluster; trying another server`;
    if (leaderOnly && !status.leader) return `${server} is not cluster leader; trying another server`;
    if (status.index !== null && status.index < minIndex)
      return `${server} has stale data; trying another server`;
  }
  if (status.model === 'relay' && (status.schema === null || !status.connected))
    return 'relay database server is not connected to its source; trying another server';
  return null;
}
