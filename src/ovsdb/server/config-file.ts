/**
 * The file of `--config-file`: remotes and databases of a server (ovsdb-server(1), ovsdb(7), since 3.3).
 *
 * `{"remotes": {METHOD: OPTIONS}, "databases": {FILE-OR-NAME: {"service-model": ..., "source": {METHOD: OPTIONS}, ...}}}`,
 * where OPTIONS and a database's description may be null. A file with an error is refused whole; errors in
 * OPTIONS are only logged, and the rest of these OPTIONS counts.
 */
import { readFileSync } from 'node:fs';
import { isJsonArray, isJsonObject, parseJson } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { jsonErrorText } from '../../stream/json-error.ts';
import { errorText } from '../../sys/errno.ts';
import { vlog } from '../../util/log.ts';
import { expectMembers, rejectOthers } from '../data/members.ts';
import { OvsdbError, syntaxError } from '../errors.ts';
import type { RemoteOptions } from './remote.ts';

const log = vlog('ovsdb_server');
const jsonrpcLog = vlog('ovsdb_jsonrpc_server');

const serviceModels = ['standalone', 'clustered', 'active-backup', 'relay'] as const;
export type ServiceModel = (typeof serviceModels)[number];

export interface DatabaseConfig {
  /** Null: as the database file says. */
  readonly model: ServiceModel | null;
  /** Where a relay or a backup copies from; its target may be several with commas between. */
  readonly source: RemoteOptions | null;
  /** As `--sync-exclude-tables` takes them. */
  readonly excludeTables: string;
  readonly isBackup: boolean;
}

export interface ConfigFile {
  readonly remotes: readonly RemoteOptions[];
  /** By name of the file, or of the database if it is a relay's. */
  readonly databases: ReadonlyMap<string, DatabaseConfig>;
}

/** @returns null if the file cannot be used; the log says why */
export function readConfigFile(path: string): ConfigFile | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    log.err(`failed to open configuration file '${path}': ${errorText(error)}`);
    return null;
  }
  log.info(`loading configuration from '${path}'`);
  try {
    return parseConfig(text);
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    for (const line of error.message.split('\n')) log.warn(line);
    log.warn(`failed to load configuration from ${path}`);
    return null;
  }
}

/** @throws OvsdbError whose message has a line for each line of the log */
export function parseConfig(text: string): ConfigFile {
  const fault = jsonErrorText(text);
  if (fault !== null) throw new OvsdbError(`config: reading JSON failed (${fault})`);
  const json = parseJson(text);
  if (!isJsonObject(json)) throw new OvsdbError('configuration in a file must be a JSON object');
  return {
    remotes: partOf(json, 'remotes', remotesFromJson),
    databases: partOf(json, 'databases', databasesFromJson),
  };
}

function partOf<T>(json: JsonObject, name: string, parse: (part: JsonObject) => T): T {
  const part = json[name] ?? {};
  try {
    if (!isJsonObject(part)) throw new OvsdbError(`config: '${name}' is not a JSON object or null`);
    return parse(part);
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw new OvsdbError(`${error.message}\nconfig: failed to parse '${name}'`);
  }
}

function remotesFromJson(json: JsonObject): RemoteOptions[] {
  return Object.entries(json).map(([target, options]) => {
    if (options !== null && !isJsonObject(options))
      throw new OvsdbError(`${target}: JSON-RPC options are not a JSON object or null`);
    return { target, ...optionsFromJson(options ?? {}, optionTypes) };
  });
}

function databasesFromJson(json: JsonObject): Map<string, DatabaseConfig> {
  return new Map(Object.entries(json).map(([key, database]) => [key, databaseFromJson(key, database)]));
}

function databaseFromJson(key: string, json: Json): DatabaseConfig {
  const none: DatabaseConfig = { model: null, source: null, excludeTables: '', isBackup: false };
  if (json === null) return none;
  const what = `database ${key}`;
  const fail = (details: string): OvsdbError => syntaxError(json, `Parsing ${what} failed: ${details}`);
  const mismatch = (name: string): OvsdbError => fail(`Type mismatch for member '${name}'.`);
  const members = isJsonObject(json) ? json : expectMembers(json, what, [], []);
  const name = members['service-model'];
  if (name !== undefined && typeof name !== 'string') throw mismatch('service-model');
  const model = serviceModels.find((known) => known === name) ?? null;
  if (name !== undefined && model === null) {
    log.warn(`Unrecognized database service model: '${name}'`);
    throw fail(`'${name}' is not a valid service model`);
  }
  if (model !== 'active-backup' && model !== 'relay') {
    rejectOthers(members, what, (member) => member === 'service-model');
    return { ...none, model };
  }
  const { backup = model === 'relay', 'exclude-tables': excluded = [], source } = members;
  // A relay has neither.
  const own = model === 'relay' ? [] : ['backup', 'exclude-tables'];
  if (model === 'active-backup') {
    if (members['backup'] === undefined) throw fail(`Required 'backup' member is missing.`);
    if (typeof backup !== 'boolean') throw mismatch('backup');
    if (!isJsonArray(excluded)) throw mismatch('exclude-tables');
    if (!excluded.every((table) => typeof table === 'string'))
      throw fail(`'exclude-tables' must contain strings`);
  }
  if (source === undefined && backup === true) throw fail(`Required 'source' member is missing.`);
  if (source !== undefined && !isJsonObject(source)) throw mismatch('source');
  const parsed = source === undefined ? null : sourceFromJson(source, fail);
  rejectOthers(members, what, (member) => ['service-model', 'source', ...own].includes(member));
  if (model === 'relay') return { ...none, model, source: parsed };
  return {
    model,
    source: parsed,
    excludeTables: isJsonArray(excluded) ? [...new Set(excluded.map(String))].join(',') : '',
    isBackup: backup === true,
  };
}

function sourceFromJson(json: JsonObject, fail: (details: string) => OvsdbError): RemoteOptions {
  const [first, ...others] = Object.entries(json);
  if (first === undefined || others.length > 0)
    throw fail(`'source' should be an object with exactly one element`);
  const [target, options] = first;
  if (options !== null && !isJsonObject(options)) throw fail('JSON-RPC options is not a JSON object or null');
  return { target, ...optionsFromJson(options ?? {}, sourceOptionTypes) };
}

/** What may stand in OPTIONS of a source; its server says what a client may do. */
const sourceOptionTypes = { 'max-backoff': 'number', 'inactivity-probe': 'number', dscp: 'number' } as const;
const optionTypes = { ...sourceOptionTypes, 'read-only': 'boolean', role: 'string' } as const;

/** Wrong ones are logged and left out. */
function optionsFromJson(
  json: JsonObject,
  types: Readonly<Partial<Record<keyof typeof optionTypes, string>>>,
): Omit<RemoteOptions, 'target'> {
  const what = 'JSON-RPC options';
  const isGood = (name: string, type: string): boolean =>
    typeof json[name] === type && (type !== 'number' || Number.isInteger(json[name]));
  const given = Object.entries(types).filter(([name]) => json[name] !== undefined);
  const [bad] = given.filter(([name, type]) => !isGood(name, type));
  try {
    if (bad !== undefined)
      throw syntaxError(json, `Parsing ${what} failed: Type mismatch for member '${bad[0]}'.`);
    rejectOthers(json, what, (member) => Object.hasOwn(types, member));
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    jsonrpcLog.warn(`failed to parse JSON-RPC options: ${error.message}`);
  }
  const good = given.filter(([name, type]) => isGood(name, type)).map(([name]) => [name, json[name]]);
  const usable = Object.fromEntries(good) as JsonObject;
  const {
    'max-backoff': maxBackoff,
    'inactivity-probe': probe,
    'read-only': isReadOnly,
    role,
    dscp,
  } = usable;
  return {
    ...(typeof maxBackoff === 'number' ? { maxBackoffMs: maxBackoff } : {}),
    ...(typeof probe === 'number' ? { probeIntervalMs: probe } : {}),
    ...(typeof isReadOnly === 'boolean' ? { isReadOnly } : {}),
    ...(typeof role === 'string' ? { role } : {}),
    ...(typeof dscp === 'number' ? { dscp } : {}),
  };
}
