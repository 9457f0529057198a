import { resolve } from 'node:path';
import { ovsDbdir } from '../../sys/dirs.ts';
import { trimMemory } from '../../sys/trim-memory.ts';
import { OvsdbError } from '../errors.ts';
import { RelaySource, parseRelay } from './relay.ts';
import type { OvsdbServer } from './server.ts';
import { openDatabase } from './storage.ts';

/** A file of this size leaves enough garbage for a collection to pay. */
const trimBytes = 4 * 1024 * 1024;

/**
 * Hosts a database as the command line and `add-db` name it: a file, or `relay:DB:REMOTES`.
 *
 * @param hasColumnDiff Whether its log may hold changes of columns as differences.
 * @throws OvsdbError and then nothing has changed
 */
export function openHosted(server: OvsdbServer, text: string, hasColumnDiff = true): void {
  const relay = parseRelay(text);
  if (relay !== null) {
    const source = new RelaySource(server, relay.name, relay.remotes);
    server.host(source.hosted);
    source.start();
    return;
  }
  for (const name of server.databaseNames) {
    const path = server.storage(name)?.path;
    if (path !== undefined && resolve(ovsDbdir(), path) === resolve(ovsDbdir(), text))
      throw new OvsdbError('ovsdb error', `${text}: already open`);
  }
  const storage = openDatabase(text);
  storage.hasColumnDiff = hasColumnDiff;
  try {
    if (storage.database.name.startsWith('_'))
      throw new OvsdbError('ovsdb error', `${text}: names beginning with "_" are reserved`);
    server.addDatabase(storage.database, storage);
    // What reading it left behind is as large as the file.
    if (storage.log.sizeBytes >= trimBytes) trimMemory();
  } catch (error) {
    storage.close();
    throw error;
  }
}
