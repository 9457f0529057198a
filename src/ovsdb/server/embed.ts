/**
 * The database server in process, for `megaflow up` and tests; the ovsdb-server program uses it too.
 */
import { existsSync, lstatSync, mkdirSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { processTls, registerDaemonCommands, UnixctlCommands, UnixctlServer } from '../../stream/index.ts';
import type { Timers, TlsIdentity } from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { unlinkAtExit } from '../../sys/exit-hooks.ts';
import { OvsdbError } from '../errors.ts';
import { OVS_VERSION } from '../../util/version.ts';
import { registerServerCommands } from './commands.ts';
import { ConfiguredServer } from './configured.ts';
import { memoryUsage } from './memory-usage.ts';
import { openHosted } from './open-hosted.ts';
import { RemoteManager } from './remotes.ts';
import { Replication } from './replication.ts';
import { loadConfig, removeConfig, saveConfig } from './saved-config.ts';
import type { ServerConfig } from './saved-config.ts';
import { OvsdbServer } from './server.ts';
import { defaultSchemaFile, readSchemaFile } from './share-dir.ts';
import { createDatabase } from './storage.ts';

export interface OvsdbServerOptions {
  /** Database files, or `relay:DB:REMOTES`. */
  readonly files: readonly string[];
  readonly remotes: readonly string[];
  /** Control socket; null for none. */
  readonly unixctlPath: string | null;
  readonly timers?: Timers;
  /** False: logs hold changed columns whole (`--disable-file-column-diff`). */
  readonly hasColumnDiff?: boolean;
  /** A configuration file (absolute), by which databases and remotes are found instead. */
  readonly configFile?: string;
  /** Where what commands change is kept; what stands there counts instead of files, remotes and sync given here. */
  readonly savedConfigPath?: string;
  /** Keys of `ssl:` and `pssl:` remotes; this process's own if absent. */
  readonly tls?: TlsIdentity;
  /** The active server, tables that are not copied from it, and whether to begin as its backup. */
  readonly sync?: ServerConfig['sync'];
}

export interface RunningOvsdbServer {
  readonly server: OvsdbServer;
  readonly replication: Replication;
  readonly remotes: RemoteManager;
  /** Resolves when `exit` was asked for by unixctl. */
  readonly exitRequested: Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the databases, the remotes and the control socket.
 *
 * @throws OvsdbError if a database cannot be opened, or the configuration file is not good
 */
export async function runOvsdbServer(options: OvsdbServerOptions): Promise<RunningOvsdbServer> {
  const server = new OvsdbServer(options.timers === undefined ? {} : { timers: options.timers });
  server.hasColumnDiff = options.hasColumnDiff ?? true;
  const { savedConfigPath } = options;
  const {
    files,
    remotes: wantedRemotes,
    sync,
  } = (savedConfigPath === undefined ? null : loadConfig(savedConfigPath)) ?? options;
  for (const file of files) openHosted(server, file);
  const remotes = new RemoteManager(server, ovsRundir(), options.tls ?? processTls);
  const replication = new Replication(server);
  if (sync !== undefined) {
    replication.setExcluded(sync.excludeTables);
    if (sync.from !== null) replication.setActiveServer(sync.from);
    if (sync.isBackup) replication.start();
  }
  for (const remote of wantedRemotes) {
    await remotes.add(remote);
    if (/^p?unix:/.test(remote)) unlinkAtExit(unixPath(remote));
  }
  const configured =
    options.configFile === undefined ? null : new ConfiguredServer(options.configFile, server, remotes);
  if (configured !== null && !(await configured.load())) {
    await remotes.close();
    await server.close();
    throw new OvsdbError('server configuration failed');
  }
  let requestExit = (): void => undefined;
  const exitRequested = new Promise<void>((resolve) => {
    requestExit = resolve;
  });
  const commands = new UnixctlCommands(`ovsdb-server (Open vSwitch) ${OVS_VERSION}`);
  registerDaemonCommands(commands, () => memoryUsage(server));
  const onChanged = (): void => {
    if (savedConfigPath !== undefined) saveConfig(savedConfigPath, configOf(server, remotes, replication));
  };
  registerServerCommands(commands, { server, remotes, replication, configured, requestExit, onChanged });
  const unixctl = new UnixctlServer(commands);
  if (options.unixctlPath !== null) {
    await unixctl.listen(options.unixctlPath);
    unlinkAtExit(options.unixctlPath);
  }
  return {
    server,
    remotes,
    replication,
    exitRequested,
    close: async () => {
      replication.close();
      configured?.close();
      await unixctl.drain();
      await unixctl.close();
      await remotes.close();
      await server.close();
      if (savedConfigPath !== undefined) removeConfig(savedConfigPath);
    },
  };
}

function configOf(server: OvsdbServer, remotes: RemoteManager, replication: Replication): ServerConfig {
  return {
    files: server.databaseNames.flatMap((name) => server.hosted(name)?.source ?? []),
    remotes: remotes.remotes,
    sync: {
      from: replication.activeServer,
      excludeTables: replication.excludedText,
      isBackup: replication.isBackup,
    },
  };
}

function unixPath(remote: string): string {
  const path = remote.slice(remote.indexOf(':') + 1);
  return path.startsWith('/') ? path : `${ovsRundir()}/${path}`;
}

/** As `runOvsdbServer` with one Open_vSwitch database, created if the file does not exist. */
export async function startOvsdbServer(options: {
  readonly file: string;
  readonly remotes: readonly string[];
  readonly unixctlPath: string | null;
}): Promise<RunningOvsdbServer> {
  const file = linkTarget(options.file);
  mkdirSync(dirname(file), { recursive: true });
  if (!existsSync(file)) createDatabase(file, readSchemaFile(defaultSchemaFile()));
  return await runOvsdbServer({ files: [file], remotes: options.remotes, unixctlPath: options.unixctlPath });
}

/** Debian's /etc/openvswitch/conf.db is a link whose target need not exist yet: a file is made there. */
function linkTarget(file: string): string {
  const isLink = lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  return isLink ? resolve(dirname(file), readlinkSync(file)) : file;
}
