import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { createDatabase } from '../../src/ovsdb/server/storage.ts';
import { formatJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { waitFor } from '../support/daemons.ts';
import { testSchema } from '../support/ovsdb-test-schema.ts';
import { TestClient, whenListening } from '../support/ovsdb.ts';
import { DbServer, run } from '../support/ovsdb-services.ts';
import type { Ran } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/** `--config-file` and `ovsdb-server/reload`, which the stock 3.1 server has not: as ovsdb(7) of 3.7 tells. */
const skip = missing({ tools: ['ovs-appctl'] });
const program = fileURLToPath(new URL('../../bin/ovsdb-server', import.meta.url));

let count = 0;
const insert = (name: string): Json => ({ op: 'insert', table: 'root', row: { name, number: ++count } });
const select: Json = { op: 'select', table: 'root', where: [], columns: ['name'] };

class ConfiguredProgram {
  readonly dir = mkdtempSync(join(tmpdir(), 'config-file-'));
  readonly file = join(this.dir, 'config.json');
  readonly #env = { ...process.env, OVS_RUNDIR: this.dir, OVS_DBDIR: this.dir, OVS_LOGDIR: this.dir };
  #child: ChildProcess | null = null;

  /** Creates a database file `NAME.db`. */
  create(name: string): string {
    const path = join(this.dir, `${name}.db`);
    createDatabase(path, schemaFromJson({ ...(testSchema as object), name }));
    return path;
  }
  write(config: Json): void {
    writeFileSync(this.file, formatJson(config));
  }

  async start(): Promise<void> {
    const options = ['--unixctl=ctl', '--log-file=log', '-vconsole:off', `--config-file=${this.file}`];
    this.#child = spawn(program, options, { cwd: this.dir, env: this.#env, stdio: 'ignore' });
    await whenListening(join(this.dir, 'db.sock'), this.#child);
  }
  async runOnce(...options: string[]): Promise<Ran> {
    return await run(program, options, this.#env);
  }
  async connect(): Promise<TestClient> {
    return await TestClient.connect(join(this.dir, 'db.sock'));
  }
  async appctl(...args: string[]): Promise<string> {
    const { stdout, stderr } = await run('ovs-appctl', ['-t', join(this.dir, 'ctl'), ...args]);
    return `${stdout}${stderr}`.replace(/ovs-appctl: .*\n/, '').replaceAll(this.dir, 'DIR');
  }
  /** Lines logged since the last call, without their heads. */
  newLog(): string[] {
    const lines = readFileSync(join(this.dir, 'log'), 'utf8').trimEnd().split('\n');
    const fresh = lines.slice(this.#logged);
    this.#logged = lines.length;
    return fresh.map((line) => line.split('|').slice(3).join('|').replaceAll(this.dir, 'DIR'));
  }
  #logged = 0;

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
    }
    rmSync(this.dir, { recursive: true });
  }
}

const programs: ConfiguredProgram[] = [];
const others: DbServer[] = [];
function make(): ConfiguredProgram {
  const made = new ConfiguredProgram();
  programs.push(made);
  return made;
}
async function otherServer(): Promise<DbServer> {
  const other = await DbServer.start('ours', { schemas: [testSchema] });
  others.push(other);
  return other;
}
afterEach(async () => {
  for (const one of programs.splice(0)) await one.stop();
  for (const one of others.splice(0)) await one.stop();
});

const refusal = 'Update the DIR/config.json and use ovsdb-server/reload instead\n';

describe.skipIf(skip !== null)('a configuration file', () => {
  it('takes the place of options and commands', async () => {
    const server = make();
    const path = server.create('Test');
    for (const [options, message] of [
      [['--remote=punix:x'], '--config-file is mutually exclusive with --remote'],
      [['--active'], '--config-file is mutually exclusive with --sync-from, --sync-exclude and --active'],
      [[path], 'Databases should be specified in a config file'],
      [['-vconsole:off'], 'server configuration failed'],
    ] as const) {
      const ran = await server.runOnce(`--config-file=${server.file}`, '--unixctl=none', ...options);
      expect(ran).toMatchObject({ status: 1, stderr: `ovsdb-server: ${message}\n` });
    }
    server.write({ remotes: { 'punix:db.sock': {} }, databases: { [path]: {} } });
    await server.start();
    for (const command of `
      add-remote ptcp:0
      remove-remote punix:db.sock
      add-db x
      remove-db Test
      set-active-ovsdb-server tcp:h:1
      connect-active-ovsdb-server
      disconnect-active-ovsdb-server
      set-active-ovsdb-server-probe-interval 1
      set-relay-source-probe-interval 1
      set-sync-exclude-tables a:b`
      .trim()
      .split('\n')) {
      const [name = '', ...args] = command.trim().split(' ');
      expect(await server.appctl(`ovsdb-server/${name}`, ...args), command).toBe(refusal);
    }
    expect(await server.appctl('ovsdb-server/list-remotes')).toBe('punix:db.sock\n');
    expect(await server.appctl('ovsdb-server/list-dbs')).toBe('Test\n_Server\n');
    const without = await otherServer();
    expect((await without.appctl('ovsdb-server/reload')).stderr).toContain(
      'Configuration file was not specified on command line',
    );
  });

  it('that changed keeps what did not change, and one with errors changes nothing', async () => {
    const server = make();
    const [a, b] = [server.create('A'), server.create('B')];
    const remotes = { 'punix:db.sock': {}, 'punix:old.sock': null };
    server.write({ remotes, databases: { [a]: {}, [b]: { 'service-model': 'standalone' } } });
    await server.start();
    expect(server.newLog()).toContain("INFO|loading configuration from 'DIR/config.json'");
    const client = await server.connect();
    await client.call('set_db_change_aware', [true]);
    await client.call('monitor', ['A', 'm', { root: {} }]);
    await client.call('transact', ['A', insert('x')]);

    const bad: Json[] = [
      [],
      { remotes: 1 },
      { remotes, databases: { [a]: { 'service-model': 'nope' } } },
      { remotes: { x: 1 }, databases: {} },
    ];
    for (const config of bad) {
      server.write(config);
      expect(await server.appctl('ovsdb-server/reload')).toBe(
        'Configuration failed.  See the log file for details.\n',
      );
      expect(server.newLog().at(-1)).toBe('WARN|failed to load configuration from DIR/config.json');
    }
    expect(await server.appctl('ovsdb-server/list-dbs')).toBe('A\nB\n_Server\n');
    expect(await server.appctl('ovsdb-server/list-remotes')).toBe('punix:db.sock\npunix:old.sock\n');

    const c = server.create('C');
    server.write({
      remotes: { 'punix:db.sock': { 'inactivity-probe': 60000 }, 'punix:new.sock': {} },
      databases: { [a]: null, [c]: {} },
    });
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    expect(await server.appctl('ovsdb-server/list-dbs')).toBe('A\nC\n_Server\n');
    expect(await server.appctl('ovsdb-server/list-remotes')).toBe('punix:db.sock\npunix:new.sock\n');
    // The connection and its monitor are still there.
    await client.call('transact', ['A', insert('y')]);
    expect(client.notifications.filter(({ method }) => method === 'update')).toHaveLength(2);
    await expect(TestClient.connect(join(server.dir, 'old.sock'))).rejects.toThrow();

    server.newLog();
    server.write({
      remotes: { 'punix:db.sock': { 'read-only': true, 'max-backoff': true }, 'db:A,root,nope': {} },
      databases: { [a]: {}, [join(server.dir, 'nope.db')]: {}, [c]: { 'service-model': 'clustered' } },
    });
    expect(await server.appctl('ovsdb-server/reload')).toContain('Configuration failed.');
    const log = server.newLog();
    for (const text of [
      "Type mismatch for member 'max-backoff'.",
      "failed to open database 'DIR/nope.db': ",
      "failed to open database 'DIR/C.db': ovsdb error: DIR/C.db: database is standalone and not clustered",
      'failed to configure databases',
      'failed to configure remotes: "db:A,root,nope": table "root" has no column "nope"',
    ]) {
      expect(
        log.some((line) => line.startsWith('WARN|') && line.includes(text)),
        text,
      ).toBe(true);
    }
    // Rights that changed end connections.
    await client.closed;
    const reader = await server.connect();
    expect(formatJson(await reader.call('transact', ['A', insert('z')]))).toContain('not allowed');
    reader.close();
  });

  it('makes one database a backup, back and forth', async () => {
    const active = await otherServer();
    const source = { [active.remote]: { 'inactivity-probe': 10000, 'max-backoff': 1000 } };
    const writer = await active.connect();
    await writer.call('transact', ['Test', insert('theirs')]);
    const server = make();
    const [test, own] = [server.create('Test'), server.create('Own')];
    const config = (backup: boolean, more: Record<string, Json> = {}): Json => ({
      remotes: { 'punix:db.sock': {} },
      databases: { [test]: { 'service-model': 'active-backup', backup, source, ...more }, [own]: {} },
    });
    server.write(config(true));
    await server.start();
    const client = await server.connect();
    const status = async (): Promise<string> =>
      (await server.appctl('ovsdb-server/sync-status')).replaceAll(active.remote, 'ACTIVE');
    const replicating = 'database: Test\nstate: backup\nreplicating: ACTIVE\n';
    await waitFor(async () => (await status()) === replicating, 'it replicates');
    expect(formatJson(await client.call('transact', ['Test', select]))).toContain('theirs');
    expect(formatJson(await client.call('transact', ['Test', insert('x')]))).toContain('not allowed');
    expect(await client.call('transact', ['Own', insert('x')])).toMatchObject({ result: [{}] });

    // The same again leaves the connection to the active server alone.
    server.write(config(true));
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    expect(await status()).toBe(replicating);

    server.write(config(false));
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    expect(await status()).toBe('database: Test\nstate: active\n');
    expect(await client.call('transact', ['Test', insert('mine')])).toMatchObject({ result: [{}] });

    // With its table excluded what is there stays.
    server.write(config(true, { 'exclude-tables': ['root'] }));
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    await waitFor(
      async () => (await status()) === `${replicating}exclude: Test:root\n`,
      'it replicates other tables',
    );
    expect(formatJson(await client.call('transact', ['Test', select]))).toContain('mine');

    server.write({ remotes: { 'punix:db.sock': {} }, databases: { [test]: {}, [own]: {} } });
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    expect(await status()).toBe('state: active\n');
    writer.close();
    client.close();
  });

  it('gives a relay another source', async () => {
    const [first, second] = [await otherServer(), await otherServer()];
    for (const [other, name] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      const client = await other.connect();
      await client.call('transact', ['Test', insert(name)]);
      client.close();
    }
    const server = make();
    const config = (remote: string): Json => ({
      remotes: { 'punix:db.sock': {} },
      databases: { Test: { 'service-model': 'relay', source: { [remote]: { 'max-backoff': 1000 } } } },
    });
    server.write(config(first.remote));
    await server.start();
    const names = async (): Promise<string> => {
      const client = await server.connect();
      const reply = formatJson(await client.call('transact', ['Test', select]));
      client.close();
      return reply;
    };
    await waitFor(async () => (await names()).includes('one'), 'it relays the first');
    server.write(config(second.remote));
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    await waitFor(async () => (await names()).includes('two'), 'it relays the second');
    expect(await names()).not.toContain('one');
    // A file of this name is another service.
    server.write({ remotes: { 'punix:db.sock': {} }, databases: {} });
    expect(await server.appctl('ovsdb-server/reload')).toBe('');
    expect(await server.appctl('ovsdb-server/list-dbs')).toBe('_Server\n');
  });
});
