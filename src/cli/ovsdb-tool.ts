/** ovsdb-tool: creates, inspects and changes database files that no server has open (ovsdb-tool(1)). */
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../stream/index.ts';
import type { Json } from '../stream/index.ts';
import { ovsDbdir } from '../sys/dirs.ts';
import { getopt } from '../sys/getopt.ts';
import type { OptionSpec } from '../sys/getopt.ts';
import { initVlog, vlogSet, vlogSetVerbosity } from '../sys/vlog-sink.ts';
import { vlogUsage } from '../sys/daemon.ts';
import { SystemClock } from '../util/clock.ts';
import { OvsError, UsageError } from '../util/errors.ts';
import { versionText } from '../util/version.ts';
import { OvsdbError } from '../ovsdb/errors.ts';
import { OvsdbServer } from '../ovsdb/server/server.ts';
import { defaultSchemaFile, readSchemaFile } from '../ovsdb/server/share-dir.ts';
import { createDatabase, openDatabase, readSchema } from '../ovsdb/server/storage.ts';
import { showLog } from './show-log.ts';

const program = 'ovsdb-tool';

const specs: readonly OptionSpec[] = [
  { name: 'more', short: 'm' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'help', short: 'h' },
  { name: 'version', short: 'V' },
];

function usage(): string {
  return `${program}: Open vSwitch database management utility
usage: ${program} [OPTIONS] COMMAND [ARG...]
  create [DB [SCHEMA]]    create DB with the given SCHEMA
  compact [DB [DST]]      compact DB in-place (or to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  query [DB] TRNS         execute read-only transaction on DB
  transact [DB] TRNS      execute read/write transaction on DB
  [-m]... show-log [DB]   print DB's log entries
The default DB is ${ovsDbdir()}/conf.db.
The default SCHEMA is ${defaultSchemaFile()}.
${vlogUsage(program)}
Other options:
  -m, --more                  increase show-log verbosity
  -h, --help                  display this help message
  -V, --version               display version information
`;
}

interface Command {
  readonly minArgs: number;
  readonly maxArgs: number;
  run(args: readonly string[], verbosity: number): Promise<string> | string;
}

const databaseOf = (args: readonly string[]): string => args[0] ?? `${ovsDbdir()}/conf.db`;
const schemaOf = (args: readonly string[]): string => args[0] ?? defaultSchemaFile();

async function transact(args: readonly string[], isReadOnly: boolean): Promise<string> {
  const path = args.length === 2 ? (args[0] ?? '') : databaseOf([]);
  const request = parseTransaction(args.at(-1) ?? '');
  const storage = openDatabase(path, isReadOnly);
  try {
    const [name, ...operations] = request;
    if (name !== storage.database.name) throw new OvsdbError('syntax error', 'unknown database', request);
    const server = new OvsdbServer();
    server.addDatabase(storage.database, storage);
    const results = await new Promise<readonly Json[]>((resolve) => {
      server.transact({
        database: storage.database,
        // Nothing can satisfy a wait here, so it is not waited for.
        operations: [...operations, { op: 'commit', durable: true }].map(withoutTimeout),
        isReadOnly,
        hasLock: () => false,
        onDone: resolve,
      });
    });
    const [, ...last] = [...results].reverse();
    const isWhole =
      results.length === operations.length + 1 &&
      results.every((r) => !isJsonObject(r) || r['error'] === undefined);
    return `${formatJson(isWhole ? last.reverse() : results, true)}\n`;
  } finally {
    storage.close();
  }
}

function withoutTimeout(operation: Json): Json {
  return isJsonObject(operation) && operation['op'] === 'wait' ? { ...operation, timeout: 0 } : operation;
}

function parseTransaction(text: string): readonly Json[] {
  const json = parseJson(text);
  if (!isJsonArray(json)) throw new OvsdbError('syntax error', 'array expected', json);
  return json;
}

const commands: Readonly<Record<string, Command>> = {
  create: {
    minArgs: 0,
    maxArgs: 2,
    run: (args) => {
      createDatabase(databaseOf(args), readSchemaFile(schemaOf(args.slice(1))));
      return '';
    },
  },
  compact: {
    minArgs: 0,
    maxArgs: 2,
    run: (args) => {
      const storage = openDatabase(databaseOf(args));
      try {
        const comment = 'compacted by ovsdb-tool 3.1.0';
        if (args[1] === undefined) storage.compact(comment, new SystemClock().wallMs());
        else storage.writeCompacted(args[1], comment, new SystemClock().wallMs());
      } finally {
        storage.close();
      }
      return '';
    },
  },
  'db-name': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchema(databaseOf(args)).name}\n` },
  'db-version': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchema(databaseOf(args)).version}\n` },
  'db-cksum': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchema(databaseOf(args)).cksum}\n` },
  'db-is-standalone': {
    minArgs: 1,
    maxArgs: 1,
    run: (args) => {
      readSchema(databaseOf(args));
      return '';
    },
  },
  'schema-name': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchemaFile(schemaOf(args)).name}\n` },
  'schema-version': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchemaFile(schemaOf(args)).version}\n` },
  'schema-cksum': { minArgs: 0, maxArgs: 1, run: (args) => `${readSchemaFile(schemaOf(args)).cksum}\n` },
  query: { minArgs: 1, maxArgs: 2, run: async (args) => await transact(args, true) },
  transact: { minArgs: 1, maxArgs: 2, run: async (args) => await transact(args, false) },
  'show-log': { minArgs: 0, maxArgs: 1, run: (args, verbosity) => showLog(databaseOf(args), verbosity) },
};

export async function main(argv: readonly string[]): Promise<number> {
  initVlog(program);
  vlogSet('console:warn');
  try {
    const { options, rest } = getopt(argv, specs, false);
    let verbosity = 0;
    for (const { name, value } of options) {
      if (name === 'more') verbosity++;
      else if (name === 'verbose') vlogSetVerbosity(value);
      else {
        process.stdout.write(name === 'help' ? usage() : `${versionText(program)}\n`);
        return 0;
      }
    }
    const [name, ...args] = rest;
    if (name === undefined) throw new UsageError('missing command name; use --help for help');
    const command = commands[name];
    if (command === undefined) throw new UsageError(`unknown command '${name}'; use --help for help`);
    if (args.length < command.minArgs)
      throw new UsageError(`'${name}' command requires at least ${command.minArgs} arguments`);
    if (args.length > command.maxArgs)
      throw new UsageError(`'${name}' command takes at most ${command.maxArgs} arguments`);
    process.stdout.write(await command.run(args, verbosity));
    return 0;
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return 1;
  }
}
