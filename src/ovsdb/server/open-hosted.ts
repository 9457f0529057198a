import { resolve } from 'node:path';
import { ovsDbdir } from '../../sys/dirs.ts';
import { trimMemory } from '../../sys/trim-memory.ts';
import type { LinkTimes } from '../client/link.ts';
import { OvsdbError } from '../errors.ts';
import { RelaySource, parseRelay } from './relay.ts';
import type { OvsdbServer } from './server.ts';
import { openDatabase } from './storage.ts';

/** A file of this size leaves enough garbage for a collection to pay. */
const trimBytes = 4 * 1024 * 1024;

/**
 * Hosts a database as the command line and `add-db` name it: a file, or `relay:DB:REMOTES`.
 *
 * @throws OvsdbError and then nothing has changed
 */
export function openHosted(server: OvsdbServer, text: string): void {
  const relay = parseRelay(text);
  if (relay === null) openFile(server, text);
  else openRelay(server, relay.name, relay.remotes, { probeIntervalMs: server.relayProbeIntervalMs });
}

/** @returns the name of the database. @throws OvsdbError and then nothing has changed */
export function openFile(server: OvsdbServer, path: string): string {
  for (const name of server.databaseNames) {
    const open = server.storage(name)?.path;
    if (open !== undefined && resolve(ovsDbdir(), open) === resolve(ovsDbdir(), path))
      throw new OvsdbError('ovsdb error', `${path}: already open`);
  }
  const storage = openDatabase(path);
  const { name } = storage.database;
  storage.hasColumnDiff = server.hasColumnDiff;
  try {
    if (name.startsWith('_'))
      throw new OvsdbError('ovsdb error', `${path}: names beginning with "_" are reserved`);
    server.addDatabase(storage.database, storage);
    // What reading it left behind is as large as the file.
    if (storage.log.sizeBytes >= trimBytes) trimMemory();
  } catch (error) {
    storage.close();
    throw error;
  }
  return name;
}

/** @throws OvsdbError and then nothing has changed */
export function openRelay(server: OvsdbServer, name: string, remotes: string, times: LinkTimes): void {
  const source = new RelaySource(server, name, remotes, times);
  server.host(source.hosted);
  source.start();
}
