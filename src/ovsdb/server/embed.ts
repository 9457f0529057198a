/**
 * The database server in process, for `megaflow up` and tests; the ovsdb-server program uses it too.
 */
import { existsSync, lstatSync, mkdirSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { processTls, registerDaemonCommands, UnixctlCommands, UnixctlServer } from '../../stream/index.ts';
import type { Timers, TlsIdentity } from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { unlinkAtExit } from '../../sys/exit-hooks.ts';
import { OVS_VERSION } from '../../util/version.ts';
import { registerServerCommands } from './commands.ts';
import { openHosted } from './open-hosted.ts';
import { RemoteManager } from './remotes.ts';
import { Replication } from './replication.ts';
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
  /** Keys of `ssl:` and `pssl:` remotes; this process's own if absent. */
  readonly tls?: TlsIdentity;
  /** The active server, tables that are not copied from it, and whether to begin as its backup. */
  readonly sync?: {
    readonly from: string | null;
    readonly excludeTables: string;
    readonly isBackup: boolean;
  };
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
 * @throws OvsdbError if a database cannot be opened
 */
export async function runOvsdbServer(options: OvsdbServerOptions): Promise<RunningOvsdbServer> {
  const server = new OvsdbServer(options.timers === undefined ? {} : { timers: options.timers });
  const hasColumnDiff = options.hasColumnDiff ?? true;
  for (const file of options.files) openHosted(server, file, hasColumnDiff);
  const remotes = new RemoteManager(server, ovsRundir(), options.tls ?? processTls);
  const replication = new Replication(server);
  if (options.sync !== undefined) {
    replication.setExcluded(options.sync.excludeTables);
    if (options.sync.from !== null) replication.setActiveServer(options.sync.from);
    if (options.sync.isBackup) replication.start();
  }
  for (const remote of options.remotes) {
    await remotes.add(remote);
    if (/^p?unix:/.test(remote)) unlinkAtExit(unixPath(remote));
  }
  let requestExit = (): void => undefined;
  const exitRequested = new Promise<void>((resolve) => {
    requestExit = resolve;
  });
  const commands = new UnixctlCommands(`ovsdb-server (Open vSwitch) ${OVS_VERSION}`);
  registerDaemonCommands(commands, () => server.usage());
  registerServerCommands(commands, { server, remotes, replication, hasColumnDiff, requestExit });
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
      await unixctl.drain();
      await unixctl.close();
      await remotes.close();
      await server.close();
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
