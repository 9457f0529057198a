/** Which server, of several perhaps, and which database a command means. */
import { splitRemotes } from '../../ovsdb/client/link.ts';
import { isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { OvsError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { Connection } from './connection.ts';

const log = vlog('reconnect');

export interface Target {
  readonly connection: Connection;
  readonly database: string;
  readonly rest: readonly string[];
}

export function defaultServer(): string {
  return `unix:${ovsRundir()}/db.sock`;
}

/** Whether an argument has the form of a server: a letter first and a colon somewhere. */
function isServer(argument: string | undefined): boolean {
  return argument !== undefined && /^[a-zA-Z][^:]*:/.test(argument);
}

/**
 * Connects to the server that the arguments begin with, or the default one.
 *
 * @param minArgs Arguments that the command itself must have.
 * @param databaseIn The database that the command's own arguments name, for a command that needs no other.
 * @throws OvsError
 */
export async function openTarget(
  args: readonly string[],
  minArgs: number,
  needsDatabase: boolean,
  isLeaderOnly: boolean,
  databaseIn: (args: readonly string[]) => string = () => '',
): Promise<Target> {
  const hasServer = args.length > minArgs && isServer(args[0]);
  const remotes = splitRemotes(hasServer ? (args[0] ?? '') : defaultServer());
  const rest = hasServer ? args.slice(1) : args;
  const [only = ''] = remotes;
  if (remotes.length > 1) {
    const words = needsDatabase ? rest : [databaseIn(rest), ...rest];
    if (words.length <= minArgs)
      throw new OvsError('EINVAL', 'database name is required with multiple remotes');
    return await openCluster(remotes, words, isLeaderOnly);
  }
  const connection = await Connection.open(only);
  if (!needsDatabase) return { connection, database: '', rest };
  const known = await databaseNames(connection);
  const [first] = rest;
  if (first !== undefined && rest.length > minArgs && known.includes(first))
    return { connection, database: first, rest: rest.slice(1) };
  return { connection, database: defaultDatabase(known), rest };
}

async function databaseNames(connection: Connection): Promise<readonly Json[]> {
  const known = await connection.call('list_dbs', []);
  return isJsonArray(known) ? known : [];
}

function defaultDatabase(known: readonly Json[]): string {
  if (known.includes('Open_vSwitch')) return 'Open_vSwitch';
  const own = known.map(String).filter((name) => !name.startsWith('_'));
  const [only] = own;
  if (only === undefined || own.length > 1)
    throw new OvsError('EINVAL', 'no default database for this server, please specify a database name');
  return only;
}

/**
 * The first member that has the database and is its leader (or connected, if that is enough).
 *
 * @param args Begin with the database, empty if any member will do.
 */
async function openCluster(
  remotes: readonly string[],
  args: readonly string[],
  isLeaderOnly: boolean,
): Promise<Target> {
  const [database = '', ...rest] = args;
  for (const remote of remotes) {
    log.info(`${remote}: connecting...`);
    const stream = await Connection.tryOpen(remote);
    if (typeof stream === 'string') {
      log.info(`${remote}: connection attempt failed (${stream})`);
      continue;
    }
    log.info(`${remote}: connected`);
    if (database === '' || (await canServe(stream, database, isLeaderOnly)))
      return { connection: stream, database, rest };
    log.info(`${remote}: connection attempt timed out`);
    stream.close();
  }
  throw new OvsError('EIO', 'no servers were available');
}

async function canServe(connection: Connection, database: string, isLeaderOnly: boolean): Promise<boolean> {
  const select = { op: 'select', table: 'Database', where: [['name', '==', database]] };
  const results = await connection.call('transact', ['_Server', select]).catch(() => null);
  const rows = isJsonArray(results) && isJsonObject(results[0]) ? results[0]['rows'] : undefined;
  const row = isJsonArray(rows) ? rows[0] : undefined;
  if (!isJsonObject(row)) return false;
  if (row['model'] !== 'clustered') return true;
  return row[isLeaderOnly ? 'leader' : 'connected'] === true;
}
