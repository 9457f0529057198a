/** The unixctl commands of ovsdb-server (see ovsdb-server(1), RUNTIME MANAGEMENT COMMANDS). */
import type { UnixctlCommands } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';
import type { RemoteManager } from './remotes.ts';
import type { OvsdbServer } from './server.ts';
import { openDatabase } from './storage.ts';

export function registerServerCommands(
  commands: UnixctlCommands,
  server: OvsdbServer,
  remotes: RemoteManager,
  requestExit: () => void,
): void {
  const userDatabases = (): string[] =>
    server.databaseNames.filter((name) => server.storage(name) !== undefined);
  const find = (name: string): string => {
    if (server.storage(name) === undefined) throw new OvsdbError('Failed to find the database.');
    return name;
  };

  commands.registerCommand('exit', '', 0, 0, () => {
    requestExit();
    return '';
  });
  commands.registerCommand('ovsdb-server/list-dbs', '', 0, 0, () => lines(server.databaseNames));
  commands.registerCommand('ovsdb-server/add-db', 'DB', 1, 1, ([path = '']) => {
    for (const name of userDatabases()) {
      if (server.storage(name)?.path === path) throw new OvsdbError(`ovsdb error: ${path}: already open`);
    }
    const storage = openDatabase(path);
    try {
      server.addDatabase(storage.database, storage);
    } catch (error) {
      storage.close();
      throw error;
    }
    return '';
  });
  commands.registerCommand('ovsdb-server/remove-db', 'DB', 1, 1, ([name = '']) => {
    server.removeDatabase(find(name));
    return '';
  });
  commands.registerCommand('ovsdb-server/compact', '', 0, 1, async ([name]) => {
    if (name !== undefined && server.storage(name) === undefined)
      throw new OvsdbError('no database by that name');
    for (const each of name === undefined ? userDatabases() : [name]) await server.compact(each);
    return '';
  });
  commands.registerCommand('ovsdb-server/get-db-storage-status', 'DB', 1, 1, ([name = '']) => {
    find(name);
    return 'status: ok\n';
  });
  commands.registerCommand('ovsdb-server/add-remote', 'REMOTE', 1, 1, async ([remote = '']) => {
    await remotes.add(remote);
    return '';
  });
  commands.registerCommand('ovsdb-server/remove-remote', 'REMOTE', 1, 1, async ([remote = '']) => {
    await remotes.remove(remote);
    return '';
  });
  commands.registerCommand('ovsdb-server/list-remotes', '', 0, 0, () => lines(remotes.remotes));
  commands.registerCommand('ovsdb-server/reconnect', '', 0, 0, () => {
    remotes.reconnect();
    return '';
  });
  commands.registerCommand('ovsdb-server/sync-status', '', 0, 0, () => 'state: active\n');
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}
