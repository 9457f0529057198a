import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnixctlClient } from '../../stream/index.ts';
import { schemaFromJson } from '../schema.ts';
import { runOvsdbServer } from './embed.ts';
import { loadConfig, saveConfig, savedConfigPath } from './saved-config.ts';
import { createDatabase } from './storage.ts';

const schema = (name: string) =>
  schemaFromJson({
    name,
    version: '1.0.0',
    tables: { T: { isRoot: true, columns: { n: { type: 'integer' } } } },
  });

describe('what commands have changed', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'ovsdb-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('is there for the next server, until one ends in order', async () => {
    const path = join(dir, 'saved');
    for (const name of ['A', 'B']) createDatabase(join(dir, name), schema(name));
    const options = {
      files: [join(dir, 'A')],
      remotes: [`punix:${dir}/sock`],
      unixctlPath: join(dir, 'ctl'),
      savedConfigPath: path,
    };
    const first = await runOvsdbServer(options);
    const client = await UnixctlClient.connect(join(dir, 'ctl'));
    const ask = async (name: string, ...args: string[]): Promise<void> => {
      await client.call(name, args);
    };
    await ask('ovsdb-server/add-db', join(dir, 'B'));
    await ask('ovsdb-server/remove-db', 'A');
    await ask('ovsdb-server/add-remote', `punix:${dir}/other`);
    await ask('ovsdb-server/set-active-ovsdb-server', `unix:${dir}/nowhere`);
    await ask('ovsdb-server/set-sync-exclude-tables', 'B:T');
    await ask('ovsdb-server/connect-active-ovsdb-server');
    const saved = loadConfig(path);
    client.close();
    await first.close();
    expect(existsSync(path)).toBe(false);
    if (saved === null) throw new Error('nothing was saved');
    saveConfig(path, saved);
    const second = await runOvsdbServer({ ...options, unixctlPath: null });
    expect(second.server.databaseNames).toEqual(['B', '_Server']);
    expect(second.remotes.remotes).toEqual([`punix:${dir}/other`, `punix:${dir}/sock`]);
    expect(second.replication.activeServer).toBe(`unix:${dir}/nowhere`);
    expect(second.replication.excludedText).toBe('B:T');
    expect(second.server.isBackup).toBe(true);
    await second.close();
  });

  it('belongs to one process, and goes when that is gone', () => {
    const path = savedConfigPath(dir);
    expect(path.slice(dir.length)).toMatch(/^\/\.ovsdb-server\.\d+\.\d+\.config$/);
    const gone = path.replace(/\d+\.config$/, '1.config');
    for (const file of [path, gone])
      saveConfig(file, { files: [], remotes: [], sync: { from: null, excludeTables: '', isBackup: false } });
    expect(savedConfigPath(dir)).toBe(path);
    expect([existsSync(path), existsSync(gone)]).toEqual([true, false]);
  });
});
