/**
 * Clustered databases, of which the first record of the file tells all that these commands can say: what
 * cluster and server it belongs to (ovsdb(5), "Clustered Format"). All else is left to the stock ovsdb-tool.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { errorText } from '../../sys/errno.ts';
import { isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { JsonObject } from '../../stream/index.ts';
import { OvsdbError } from '../../ovsdb/errors.ts';
import { damageError, readRecord } from '../../ovsdb/server/log-record.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import type { Command } from './command.ts';

/** The magic word of a database file, and its first record unless that is damaged. */
interface FileHead {
  readonly magic: 'JSON' | 'CLUSTER';
  readonly record: () => JsonObject;
}

/** @throws OvsdbError if it is no database */
export function readHead(path: string): FileHead {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw new OvsdbError(`I/O error: ${path}: open failed (${errorText(error)})`);
  }
  try {
    const { size } = fstatSync(fd);
    const record = readRecord(fd, 0, size);
    if ('json' in record) return { magic: record.magic, record: () => record.json };
    const { magic, why } = record;
    if (why === 'read error') throw damageError(path, record);
    if (magic !== 'JSON' && magic !== 'CLUSTER') {
      const isOther = size === 0 || magic !== undefined;
      const what = isOther ? 'cannot identify file type' : 'unexpected file format';
      throw new OvsdbError('ovsdb error', `${path}: ${what}`);
    }
    const refuseDamage = (): never => {
      throw damageError(path, record);
    };
    return { magic, record: refuseDamage };
  } finally {
    closeSync(fd);
  }
}

/** The first record of a clustered database. @throws UsageError if it is another kind */
function clusterHead(path: string): JsonObject {
  const { magic, record } = readHead(path);
  if (magic !== 'CLUSTER') throw new UsageError(`${path}: not a clustered database`);
  return record();
}

function prints(member: string, missing: string): Command {
  return {
    minArgs: 1,
    maxArgs: 1,
    run: ([path = '']) => {
      const value = clusterHead(path)[member];
      if (typeof value === 'string') return `${value}\n`;
      return { text: '', error: `${path}: ${missing}\n`, status: 2 };
    },
  };
}

function refuses(minArgs: number, maxArgs: number): Command {
  return { minArgs, maxArgs, run: (_args, { name }) => refuse(name) };
}

/** @throws OvsError */
export function refuse(command: string): never {
  throw new OvsError(
    'ENOTSUP',
    `${command}: clustered databases are not supported, use the ovsdb-tool program of Open vSwitch`,
  );
}

/** Refuses what works on standalone databases only. @throws OvsdbError */
export function requireStandalone(path: string): void {
  if (readHead(path).magic === 'CLUSTER')
    throw new OvsdbError('ovsdb error', `${path}: cannot apply this operation to clustered database file`);
}

/** The name of the database in a clustered file. */
export function clusterName(record: JsonObject): string {
  const { name, prev_data: data } = record;
  if (typeof name === 'string') return name;
  const schema = isJsonArray(data) ? data[0] : undefined;
  return isJsonObject(schema) && typeof schema['name'] === 'string' ? schema['name'] : '';
}

export const clusterCommands: Readonly<Record<string, Command>> = {
  'db-cid': prints('cluster_id', 'cluster ID not yet known'),
  'db-sid': prints('server_id', 'server ID not known'),
  'db-local-address': prints('local_address', 'local address not known'),
  'db-is-clustered': {
    minArgs: 1,
    maxArgs: 1,
    run: ([path = '']) => ({ text: '', status: readHead(path).magic === 'CLUSTER' ? 0 : 2 }),
  },
  'db-is-standalone': {
    minArgs: 1,
    maxArgs: 1,
    run: ([path = '']) => ({ text: '', status: readHead(path).magic === 'JSON' ? 0 : 2 }),
  },
  'create-cluster': refuses(3, 3),
  'join-cluster': refuses(4, Infinity),
  'cluster-to-standalone': refuses(2, 2),
  'check-cluster': refuses(1, Infinity),
};
