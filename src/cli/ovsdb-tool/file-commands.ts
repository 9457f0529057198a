/** Commands on standalone database files and on schema files. */
import { formatJson, isJsonArray, isJsonObject, jsonEquals } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { ovsDbdir } from '../../sys/dirs.ts';
import { SystemClock } from '../../util/clock.ts';
import { UsageError } from '../../util/errors.ts';
import { OVS_VERSION } from '../../util/version.ts';
import { OvsdbError } from '../../ovsdb/errors.ts';
import { schemaToJson } from '../../ovsdb/schema.ts';
import type { DatabaseSchema } from '../../ovsdb/schema.ts';
import { AccessControl } from '../../ovsdb/server/rbac.ts';
import { OvsdbServer } from '../../ovsdb/server/server.ts';
import { defaultSchemaFile, readSchemaFile } from '../../ovsdb/server/share-dir.ts';
import { createDatabase, openDatabase, readSchema } from '../../ovsdb/server/storage.ts';
import type { OpenDatabase } from '../../ovsdb/server/storage.ts';
import { parseJsonArgument } from '../json-argument.ts';
import { clusterName, readHead, refuse, requireStandalone } from './cluster-commands.ts';
import type { Command, Outcome, ToolSettings } from './command.ts';
import { showLog } from './show-log.ts';

const databaseOf = (args: readonly string[]): string => args[0] ?? `${ovsDbdir()}/conf.db`;
const schemaOf = (args: readonly string[]): string => args[0] ?? defaultSchemaFile();

/** Runs a transaction on a file; `query` leaves the file as it is. */
async function transact(
  args: readonly string[],
  isQuery: boolean,
  { rbacRole }: ToolSettings,
): Promise<string> {
  const path = args.length === 2 ? (args[0] ?? '') : databaseOf([]);
  requireStandalone(path);
  const storage = openDatabase(path, { isReadOnly: isQuery, isStrict: true });
  try {
    const request = parseJsonArgument(args.at(-1) ?? '');
    const { database } = storage;
    if (!isJsonArray(request)) return errorLine(new OvsdbError('syntax error', 'array expected', request));
    const [name, ...operations] = request;
    if (name !== database.name)
      return errorLine(new OvsdbError('syntax error', 'database name expected as first parameter', request));
    const server = new OvsdbServer();
    // Without its file a database changes in memory only.
    if (isQuery) server.addDatabase(database);
    else server.addDatabase(database, storage);
    const before = database.history.latestId;
    const results = await new Promise<readonly Json[]>((resolve) => {
      server.transact({
        database,
        operations: operations.map(withoutTimeout),
        isReadOnly: false,
        access: AccessControl.of(database, { role: rbacRole ?? '', id: null }),
        hasLock: () => false,
        onDone: resolve,
      });
    });
    if (!isQuery) await storage.sync();
    const said = results.map((result, i) => withoutWait(result, operations[i]));
    // As when it is written to a file that is open for reading.
    if (isQuery && database.history.latestId !== before) said.push(cannotWrite(storage).toJson());
    return `${formatJson(said, true)}\n`;
  } finally {
    storage.close();
  }
}

function cannotWrite({ path, log }: OpenDatabase): OvsdbError {
  const details = `${path}: cannot truncate to length ${log.sizeBytes}`;
  return new OvsdbError('I/O error', details, undefined, 'Invalid argument');
}

function errorLine(error: OvsdbError): string {
  return `${formatJson(error.toJson(), true)}\n`;
}

const isWaiting = (operation: Json | undefined): boolean =>
  isJsonObject(operation) && operation['op'] === 'wait' && operation['timeout'] !== 0;

/** Nothing here can satisfy a wait, so it is not waited for... */
function withoutTimeout(operation: Json): Json {
  return isWaiting(operation) && isJsonObject(operation) ? { ...operation, timeout: 0 } : operation;
}

/** ...and this is said instead of a time-out. */
function withoutWait(result: Json, operation: Json | undefined): Json {
  const isOver = isJsonObject(result) && result['error'] === 'timed out' && isWaiting(operation);
  return isOver ? new OvsdbError('not supported', 'triggers not supported').toJson() : result;
}

/** A command that prints something of the schema in a database file. */
function ofDatabase(text: (schema: DatabaseSchema) => string): Command {
  return {
    minArgs: 0,
    maxArgs: 1,
    run: (args) => {
      requireStandalone(databaseOf(args));
      return `${text(readSchema(databaseOf(args)))}\n`;
    },
  };
}

/** A command that prints something of a schema file. */
function ofSchemaFile(text: (schema: DatabaseSchema) => string): Command {
  return { minArgs: 0, maxArgs: 1, run: (args) => `${text(readSchemaFile(schemaOf(args)))}\n` };
}

const dbName: Command = {
  minArgs: 0,
  maxArgs: 1,
  run: (args) => {
    const { magic, record } = readHead(databaseOf(args));
    return `${magic === 'CLUSTER' ? clusterName(record()) : readSchema(databaseOf(args)).name}\n`;
  },
};

const create: Command = {
  minArgs: 0,
  maxArgs: 2,
  run: (args) => {
    createDatabase(databaseOf(args), readSchemaFile(schemaOf(args.slice(1))));
    return '';
  },
};

/** Runs what locks a database file, and says of a lock that is held what `compact` and `convert` say. */
function withoutIoPrefix<T>(fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    if (error instanceof OvsdbError && error.details?.endsWith('failed to lock lockfile') === true)
      throw new UsageError(`${error.details} (${error.ioError ?? ''})`);
    throw error;
  }
}

/** @throws OvsError */
function openToRewrite(path: string): OpenDatabase {
  requireStandalone(path);
  return withoutIoPrefix(() => openDatabase(path, { isStrict: true }));
}

const compact: Command = {
  minArgs: 0,
  maxArgs: 2,
  run: (args) => {
    const storage = openToRewrite(databaseOf(args));
    try {
      const comment = `compacted by ovsdb-tool ${OVS_VERSION}`;
      if (args[1] === undefined || args[1] === args[0]) storage.compact(comment, new SystemClock().wallMs());
      else withoutIoPrefix(() => storage.writeCompacted(args[1] ?? '', comment, new SystemClock().wallMs()));
    } finally {
      storage.close();
    }
    return '';
  },
};

const convert: Command = {
  minArgs: 0,
  maxArgs: 3,
  run: (args) => {
    const schema = readSchemaFile(schemaOf(args.slice(1)));
    const storage = openToRewrite(databaseOf(args));
    try {
      const comment = `converted by ovsdb-tool ${OVS_VERSION}`;
      const target = args[2] === args[0] ? undefined : args[2];
      withoutIoPrefix(() => storage.convert(schema, target, comment, new SystemClock().wallMs()));
    } finally {
      storage.close();
    }
    return '';
  },
};

const needsConversion: Command = {
  minArgs: 0,
  maxArgs: 2,
  run: (args) => {
    requireStandalone(databaseOf(args));
    const [have, want] = [readSchema(databaseOf(args)), readSchemaFile(schemaOf(args.slice(1)))];
    return jsonEquals(schemaToJson(have), schemaToJson(want)) ? 'no\n' : 'yes\n';
  },
};

function showLogOf(args: readonly string[], { name, verbosity }: ToolSettings): Outcome {
  if (readHead(databaseOf(args)).magic === 'CLUSTER') refuse(name);
  const { text, error } = showLog(databaseOf(args), verbosity);
  return error === null ? text : { text, error: `ovsdb-tool: ${error}\n`, status: 1 };
}

/** Exit status 0 if the relation holds, else 2. */
const compareVersions: Command = {
  minArgs: 3,
  maxArgs: 3,
  run: ([a = '', operator = '', b = '']) => {
    const [left, right] = [parseVersion(a), parseVersion(b)];
    const order = left.map((n, i) => n - (right[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
    const relation = Object.hasOwn(relations, operator) ? relations[operator] : undefined;
    if (relation === undefined) throw new UsageError(`${operator}: not a relational operator`);
    return { text: '', status: relation(order) ? 0 : 2 };
  },
};

const relations: Readonly<Record<string, (order: number) => boolean>> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '==': (order) => order === 0,
  '>=': (order) => order >= 0,
  '>': (order) => order > 0,
  '!=': (order) => order !== 0,
};

function parseVersion(text: string): number[] {
  if (!/^\d+\.\d+\.\d+$/.test(text))
    throw new UsageError(`${text}: not an OVSDB version number in format x.y.z`);
  return text.split('.').map(Number);
}

export const fileCommands: Readonly<Record<string, Command>> = {
  create,
  compact,
  convert,
  'needs-conversion': needsConversion,
  'db-name': dbName,
  'db-version': ofDatabase((schema) => schema.version),
  'db-cksum': ofDatabase((schema) => schema.cksum),
  'schema-name': ofSchemaFile((schema) => schema.name),
  'schema-version': ofSchemaFile((schema) => schema.version),
  'schema-cksum': ofSchemaFile((schema) => schema.cksum),
  'compare-versions': compareVersions,
  query: { minArgs: 1, maxArgs: 2, run: async (args, settings) => await transact(args, true, settings) },
  transact: { minArgs: 1, maxArgs: 2, run: async (args, settings) => await transact(args, false, settings) },
  'show-log': { minArgs: 0, maxArgs: 1, run: showLogOf },
};
