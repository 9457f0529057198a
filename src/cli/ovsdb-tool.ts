/** ovsdb-tool: creates, inspects and changes database files that no server has open (ovsdb-tool(1)). */
import { formatJson, isJsonArray, isJsonObject, jsonEquals, parseJson } from '../stream/index.ts';
import type { Json } from '../stream/index.ts';
import { ovsDbdir } from '../sys/dirs.ts';
import { getopt } from '../sys/getopt.ts';
import type { OptionSpec } from '../sys/getopt.ts';
import { initVlog, vlogSet, vlogSetVerbosity } from '../sys/vlog-sink.ts';
import { vlogUsage } from '../sys/daemon.ts';
import { SystemClock } from '../util/clock.ts';
import { OvsError, UsageError } from '../util/errors.ts';
import { OVS_VERSION, versionText } from '../util/version.ts';
import { OvsdbError } from '../ovsdb/errors.ts';
import { schemaToJson } from '../ovsdb/schema.ts';
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
  convert [DB [SCHEMA [DST]]]   convert DB to SCHEMA (to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  compare-versions A OP B  compare OVSDB schema version numbers
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

type Outcome = string | { readonly text: string; readonly status: number };

interface Command {
  readonly minArgs: number;
  readonly maxArgs: number;
  /** @returns what to print, or a text and an exit status. */
  run(args: readonly string[], verbosity: number): Promise<Outcome> | Outcome;
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

const notClustered: Command = {
  minArgs: 1,
  maxArgs: 1,
  run: (args) => {
    readSchema(databaseOf(args));
    throw new UsageError(`${databaseOf(args)}: not a clustered database`);
  },
};

function compareVersions([a = '', operator = '', b = '']: readonly string[]): boolean {
  const parse = (text: string): number[] => {
    if (!/^\d+\.\d+\.\d+$/.test(text))
      throw new UsageError(`${text}: not an OVSDB version number in format x.y.z`);
    return text.split('.').map(Number);
  };
  const [left, right] = [parse(a), parse(b)];
  const order = left.map((n, i) => n - (right[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
  switch (operator) {
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '==':
      return order === 0;
    case '>=':
      return order >= 0;
    case '>':
      return order > 0;
    case '!=':
      return order !== 0;
    default:
      throw new UsageError(`${operator}: not a relational operator`);
  }
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
        const comment = `compacted by ovsdb-tool ${OVS_VERSION}`;
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
  'db-is-clustered': {
    minArgs: 1,
    maxArgs: 1,
    run: (args) => {
      readSchema(databaseOf(args));
      return { text: '', status: 2 };
    },
  },
  'db-cid': notClustered,
  'db-sid': notClustered,
  'db-local-address': notClustered,
  'needs-conversion': {
    minArgs: 0,
    maxArgs: 2,
    run: (args) => {
      const [have, want] = [readSchema(databaseOf(args)), readSchemaFile(schemaOf(args.slice(1)))];
      return jsonEquals(schemaToJson(have), schemaToJson(want)) ? 'no\n' : 'yes\n';
    },
  },
  convert: {
    minArgs: 0,
    maxArgs: 3,
    run: (args) => {
      const schema = readSchemaFile(schemaOf(args.slice(1)));
      const storage = openDatabase(databaseOf(args));
      try {
        storage.convert(
          schema,
          args[2],
          `converted by ovsdb-tool ${OVS_VERSION}`,
          new SystemClock().wallMs(),
        );
      } finally {
        storage.close();
      }
      return '';
    },
  },
  'compare-versions': {
    minArgs: 3,
    maxArgs: 3,
    run: (args) => ({ text: '', status: compareVersions(args) ? 0 : 2 }),
  },
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
    const outcome = await command.run(args, verbosity);
    process.stdout.write(typeof outcome === 'string' ? outcome : outcome.text);
    return typeof outcome === 'string' ? 0 : outcome.status;
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    process.stderr.write(`${program}: ${error.message}\n`);
    return 1;
  }
}
