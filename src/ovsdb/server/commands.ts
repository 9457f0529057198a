/** The unixctl commands of ovsdb-server (see ovsdb-server(1), RUNTIME MANAGEMENT COMMANDS). */
import type { UnixctlCommands } from '../../stream/index.ts';
import { vlog } from '../../util/log.ts';
import { OvsdbError } from '../errors.ts';
import type { ConfiguredServer } from './configured.ts';
import { openHosted } from './open-hosted.ts';
import { RelaySource } from './relay.ts';
import type { RemoteManager } from './remotes.ts';
import type { Replication } from './replication.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('ovsdb_server');

export interface CommandContext {
  readonly server: OvsdbServer;
  readonly remotes: RemoteManager;
  readonly replication: Replication;
  /** Null without a configuration file. */
  readonly configured: ConfiguredServer | null;
  requestExit(): void;
  /** Databases, remotes or the role of the server are others now. */
  onChanged: () => void;
}

/** Where commands go that change what a configuration file says: they are refused where there is one. */
function changing(
  commands: UnixctlCommands,
  { configured }: CommandContext,
): Pick<UnixctlCommands, 'registerCommand'> {
  if (configured === null) return commands;
  return {
    registerCommand: (name, usage, minArgs, maxArgs) => {
      commands.registerCommand(name, usage, minArgs, maxArgs, () => {
        throw new OvsdbError(`Update the ${configured.path} and use ovsdb-server/reload instead`);
      });
    },
  };
}

export function registerServerCommands(commands: UnixctlCommands, context: CommandContext): void {
  commands.registerCommand('exit', '', 0, 0, () => {
    context.requestExit();
    return '';
  });
  commands.registerCommand('ovsdb-server/reload', '', 0, 0, async () => {
    const { configured } = context;
    if (configured === null) throw new OvsdbError('Configuration file was not specified on command line');
    if (!(await configured.load()))
      throw new OvsdbError('Configuration failed.  See the log file for details.');
    return '';
  });
  registerDatabaseCommands(commands, context);
  registerRemoteCommands(commands, context);
  registerTableLogCommands(commands, context);
  registerReplicationCommands(commands, context);
  registerClusterCommands(commands, context);
  registerPerformanceCommands(commands, context);
}

function registerDatabaseCommands(commands: UnixctlCommands, context: CommandContext): void {
  const { server } = context;
  const changes = changing(commands, context);
  const compactable = (): string[] =>
    server.databaseNames.filter((name) => server.storage(name) !== undefined);

  commands.registerCommand('ovsdb-server/list-dbs', '', 0, 0, () => lines(server.databaseNames));
  changes.registerCommand('ovsdb-server/add-db', 'DB', 1, 1, ([text = '']) => {
    openHosted(server, text);
    context.onChanged();
    return '';
  });
  changes.registerCommand('ovsdb-server/remove-db', 'DB', 1, 1, ([name = '']) => {
    if (server.hosted(name) === undefined) throw new OvsdbError('Failed to find the database.');
    if (name.startsWith('_')) throw new OvsdbError('Cannot remove reserved database.');
    server.removeDatabase(name, `removing ${name} database by user request`);
    context.onChanged();
    return '';
  });
  commands.registerCommand('ovsdb-server/compact', '', 0, 1, async ([name]) => {
    if (name?.startsWith('_') === true) throw new OvsdbError('cannot compact built-in databases');
    if (name !== undefined && server.hosted(name) === undefined)
      throw new OvsdbError('no database by that name');
    for (const each of name === undefined ? compactable() : [name]) {
      log.info(`compacting ${each} database by user request`);
      await server.compact(each);
    }
    return '';
  });
  commands.registerCommand('ovsdb-server/get-db-storage-status', 'DB', 1, 1, ([name = '']) => {
    if (server.hosted(name) === undefined) throw new OvsdbError('Failed to find the database.');
    return 'status: ok\n';
  });
  if (!server.hasColumnDiff) {
    commands.registerCommand('ovsdb/file/column-diff-enable', '', 0, 0, () => {
      server.hasColumnDiff = true;
      for (const name of server.databaseNames) {
        const storage = server.storage(name);
        if (storage !== undefined) storage.hasColumnDiff = true;
      }
      return '';
    });
  }
  commands.registerCommand('ovsdb-server/disable-monitor-cond', '', 0, 0, () => {
    server.disableMonitorCond('user ran ovsdb-server/disable-monitor-cond');
    return '';
  });
}

function registerRemoteCommands(commands: UnixctlCommands, context: CommandContext): void {
  const { remotes, onChanged } = context;
  const changes = changing(commands, context);
  changes.registerCommand('ovsdb-server/add-remote', 'REMOTE', 1, 1, async ([remote = '']) => {
    await remotes.add(remote);
    onChanged();
    return '';
  });
  changes.registerCommand('ovsdb-server/remove-remote', 'REMOTE', 1, 1, async ([remote = '']) => {
    await remotes.remove(remote);
    onChanged();
    return '';
  });
  commands.registerCommand('ovsdb-server/list-remotes', '', 0, 0, () => lines(remotes.remotes));
  commands.registerCommand('ovsdb-server/reconnect', '', 0, 0, () => {
    remotes.reconnect();
    return '';
  });
}

function registerTableLogCommands(commands: UnixctlCommands, { server }: CommandContext): void {
  commands.registerCommand('ovsdb-server/tlog-set', 'DB:TABLE on|off', 2, 2, ([what = '', onOff = '']) => {
    const [name, tableName] = what.split(':');
    if (onOff.toLowerCase() !== 'on' && onOff.toLowerCase() !== 'off')
      throw new OvsdbError('invalid command argument');
    if (name === undefined || tableName === undefined) throw new OvsdbError('invalid DB:TABLE argument');
    const database = server.database(name);
    if (database === undefined) throw new OvsdbError('no such database');
    const table = database.tables.get(tableName);
    if (table === undefined) throw new OvsdbError('no such table');
    if (onOff.toLowerCase() === 'on') server.loggedTables.add(table);
    else server.loggedTables.delete(table);
    return '';
  });
  commands.registerCommand('ovsdb-server/tlog-list', '', 0, 0, () => {
    let text = 'database        table                       logging\n';
    text += '--------        -----                       -------\n';
    for (const name of server.databaseNames) {
      const database = server.database(name);
      if (database === undefined) continue;
      text += `${name.padEnd(16)} \n`;
      for (const tableName of [...database.tables.keys()].sort()) {
        const isLogged = server.loggedTables.has(database.table(tableName));
        text += `                ${tableName.padEnd(27)} ${isLogged ? 'ON' : 'OFF'}\n`;
      }
    }
    return text;
  });
}

function registerReplicationCommands(commands: UnixctlCommands, context: CommandContext): void {
  const { server, replication, configured, onChanged } = context;
  const changes = changing(commands, context);
  changes.registerCommand('ovsdb-server/set-active-ovsdb-server', '', 1, 1, ([remote = '']) => {
    replication.setActiveServer(remote);
    onChanged();
    return '';
  });
  commands.registerCommand(
    'ovsdb-server/get-active-ovsdb-server',
    '',
    0,
    0,
    () => replication.activeServer ?? '',
  );
  changes.registerCommand('ovsdb-server/connect-active-ovsdb-server', '', 0, 0, () => {
    if (replication.activeServer === null) return 'Unable to connect: active server is not specified.\n';
    replication.start();
    onChanged();
    return '';
  });
  changes.registerCommand('ovsdb-server/disconnect-active-ovsdb-server', '', 0, 0, () => {
    replication.stop();
    onChanged();
    return '';
  });
  changes.registerCommand('ovsdb-server/set-active-ovsdb-server-probe-interval', '', 1, 1, ([text = '']) => {
    if (!/^[+-]?\d+$/.test(text)) return 'Invalid probe interval, integer value expected\n';
    replication.setProbeInterval(Number(text));
    return '';
  });
  changes.registerCommand('ovsdb-server/set-sync-exclude-tables', '', 0, 1, ([text = '']) => {
    replication.setExcluded(text);
    onChanged();
    return '';
  });
  commands.registerCommand('ovsdb-server/get-sync-exclude-tables', '', 0, 0, () => replication.excludedText);
  commands.registerCommand('ovsdb-server/sync-status', '', 0, 0, () =>
    (configured ?? replication).statusText(),
  );
  changes.registerCommand('ovsdb-server/set-relay-source-probe-interval', '', 1, 1, ([text = '']) => {
    if (!/^[+-]?\d+$/.test(text)) throw new OvsdbError('Invalid probe interval, integer value expected');
    server.relayProbeIntervalMs = Number(text);
    for (const name of server.databaseNames) {
      const forwarder = server.hosted(name)?.forwarder;
      if (forwarder instanceof RelaySource) forwarder.setProbeInterval(server.relayProbeIntervalMs);
    }
    return '';
  });
}

/** Clustered databases are what the stock server is for: scripts that ask get a clear answer. */
function registerClusterCommands(commands: UnixctlCommands, { server }: CommandContext): void {
  const refuse = ([name = '']: readonly string[]): string => {
    if (server.hosted(name) === undefined) throw new OvsdbError('unknown cluster');
    throw new OvsdbError(
      `${name} is not a clustered database; clustered databases need the ovsdb-server of Open vSwitch`,
    );
  };
  commands.registerCommand('cluster/cid', 'DB', 1, 1, refuse);
  commands.registerCommand('cluster/sid', 'DB', 1, 1, refuse);
  commands.registerCommand('cluster/status', 'DB', 1, 1, refuse);
  commands.registerCommand('cluster/leave', 'DB', 1, 1, refuse);
  commands.registerCommand('cluster/kick', 'DB SERVER', 2, 2, refuse);
  commands.registerCommand('cluster/change-election-timer', 'DB TIME', 2, 2, refuse);
  commands.registerCommand('cluster/set-backlog-threshold', 'DB N_MSGS N_BYTES', 3, 3, refuse);
}

function registerPerformanceCommands(commands: UnixctlCommands, { server }: CommandContext): void {
  // What the stock server says where it cannot read the processor's counters; no program of ours does.
  commands.registerCommand(
    'ovsdb-server/perf-counters-show',
    '',
    0,
    0,
    () => 'performance counter is not supported on this platform\n',
  );
  commands.registerCommand('ovsdb-server/perf-counters-clear', '', 0, 0, () => '');
  commands.registerCommand('ovsdb-server/memory-trim-on-compaction', 'on|off', 1, 1, ([onOff = '']) => {
    if (onOff !== 'on' && onOff !== 'off') throw new OvsdbError('invalid argument');
    server.trimsOnCompaction = onOff === 'on';
    log.info(`memory trimming after compaction ${onOff === 'on' ? 'enabled' : 'disabled'}.`);
    return '';
  });
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}
