/**
 * A server that does as its configuration file says (`--config-file`, `ovsdb-server/reload`).
 *
 * `load` compares the file with what runs: databases and remotes that are in both stay open, with other options
 * where these changed; the rest is closed or opened. A file with an error changes nothing. A database that cannot be
 * opened is logged and tried again by the next `load`. Each backup has a replication of its own.
 */
import { OvsError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { OvsdbError } from '../errors.ts';
import { readConfigFile } from './config-file.ts';
import type { DatabaseConfig, ServiceModel } from './config-file.ts';
import { openFile, openRelay } from './open-hosted.ts';
import { RelaySource } from './relay.ts';
import type { RemoteManager } from './remotes.ts';
import { Replication } from './replication.ts';
import type { OvsdbServer } from './server.ts';
import { readSchema } from './storage.ts';

const log = vlog('ovsdb_server');

interface Configured {
  readonly name: string;
  config: DatabaseConfig;
  readonly replication: Replication;
}

export class ConfiguredServer {
  readonly path: string;
  readonly #server: OvsdbServer;
  readonly #remotes: RemoteManager;
  /** By the names that the file has for them. */
  readonly #databases = new Map<string, Configured>();

  /** @param path Absolute. */
  constructor(path: string, server: OvsdbServer, remotes: RemoteManager) {
    this.path = path;
    this.#server = server;
    this.#remotes = remotes;
  }

  /** @returns whether everything is as the file says now; if not, the log says why */
  async load(): Promise<boolean> {
    const file = readConfigFile(this.path);
    if (file === null) return false;
    const areOpen = this.#reconcileDatabases(file.databases);
    if (!areOpen) log.warn('failed to configure databases');
    const wrong = await this.#remotes.replaceAll(file.remotes);
    if (wrong !== '') log.warn(`failed to configure remotes: ${wrong}`);
    return areOpen && wrong === '';
  }

  #reconcileDatabases(wanted: ReadonlyMap<string, DatabaseConfig>): boolean {
    for (const [key, { name, config, replication }] of [...this.#databases]) {
      const next = wanted.get(key);
      if (
        next !== undefined &&
        this.#server.hosted(name) !== undefined &&
        canBecome(config.model, next.model)
      )
        continue;
      replication.close();
      this.#databases.delete(key);
      if (this.#server.hosted(name) === undefined) continue;
      this.#server.removeDatabase(
        name,
        next === undefined
          ? `database ${name} removed from configuration`
          : `service model changed for database ${name}`,
      );
    }
    let areOpen = true;
    for (const [key, config] of wanted) {
      try {
        const known = this.#databases.get(key);
        if (known === undefined) this.#open(key, config);
        else this.#update(known, config);
      } catch (error) {
        if (!(error instanceof OvsError)) throw error;
        log.warn(`failed to open database '${key}': ${error.message}`);
        areOpen = false;
      }
    }
    return areOpen;
  }

  /** @throws OvsdbError and then it is not open */
  #open(key: string, config: DatabaseConfig): void {
    let name = key;
    if (config.model === 'relay')
      openRelay(this.#server, key, config.source?.target ?? '', config.source ?? {});
    else {
      if (config.model === 'clustered') {
        readSchema(key);
        throw new OvsdbError('ovsdb error', `${key}: database is standalone and not clustered`);
      }
      name = openFile(this.#server, key);
    }
    const replication = new Replication(this.#server, name);
    const model = config.model ?? 'standalone';
    const database: Configured = { name, config: { ...config, model }, replication };
    this.#databases.set(key, database);
    this.#replicate(database);
  }

  #update(database: Configured, config: DatabaseConfig): void {
    database.config = { ...config, model: config.model ?? database.config.model };
    const forwarder = this.#server.hosted(database.name)?.forwarder;
    if (forwarder instanceof RelaySource && config.source !== null)
      forwarder.setSource(config.source.target, config.source);
    else this.#replicate(database);
  }

  /** Starts, changes or stops the replication, as the database is to be a backup or not. */
  #replicate({ config: { isBackup, source, excludeTables }, replication }: Configured): void {
    if (!isBackup || source === null) {
      if (replication.isBackup) replication.stop();
      return;
    }
    replication.setOptions(source);
    if (replication.isBackup && replication.isFrom(source.target, excludeTables)) return;
    if (replication.isBackup) replication.stop();
    replication.setActiveServer(source.target);
    replication.setExcluded(excludeTables);
    replication.start();
  }

  /** What `ovsdb-server/sync-status` prints. */
  statusText(): string {
    const texts = [...this.#databases.values()]
      .filter(({ config }) => config.model === 'active-backup')
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, replication }) => `database: ${name}\n${replication.statusText()}`);
    return texts.length === 0 ? 'state: active\n' : texts.join('\n');
  }

  close(): void {
    for (const { replication } of this.#databases.values()) replication.close();
  }
}

/** Whether a database that is open goes on as another model; one that is not told stays as it is. */
function canBecome(now: ServiceModel | null, next: ServiceModel | null): boolean {
  if (next === null) return now === 'standalone';
  const isFile = (model: ServiceModel | null): boolean => model === 'standalone' || model === 'active-backup';
  return now === next || (isFile(now) && isFile(next));
}
