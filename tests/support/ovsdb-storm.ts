import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDatabase, openDatabase } from '../../src/ovsdb/server/storage.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { TestClient, whenListening } from './ovsdb.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

const schema: Json = {
  name: 'Storm',
  tables: {
    Client: {
      isRoot: true,
      indexes: [['number']],
      columns: {
        number: { type: 'integer', mutable: false },
        done: { type: 'integer' },
        last: { type: { key: { type: 'uuid', refTable: 'Entry' }, min: 0, max: 5 } },
      },
    },
    Entry: { columns: { client: { type: 'integer' }, serial: { type: 'integer' } } },
  },
};

/** The file as a kill left it, and what the clients knew then. */
interface Aftermath {
  readonly file: string;
  readonly acknowledged: readonly number[];
  readonly sent: readonly number[];
}

/**
 * Clients that write to a server which is killed now and then. Each transaction of a client counts up its
 * row, adds an entry to its five and lets go of the oldest, so that a half of one would show. Copies of the file after
 * each kill are checked at the end: reading them at once would stop the clients for longer and longer.
 */
export class Storm {
  readonly file: string;
  /** Transactions acknowledged, by client. */
  readonly acknowledged: number[];
  /** Transactions sent. */
  readonly sent: number[];
  kills = 0;
  readonly #dir: string;
  readonly #aftermaths: Aftermath[] = [];
  #server: ChildProcess | undefined;
  #isStopping = false;
  /** Resolves when the server that was killed is followed by another. */
  #restart: Promise<void> = Promise.resolve();

  constructor(dir: string, clients: number) {
    this.#dir = dir;
    this.file = join(dir, 'storm.db');
    this.acknowledged = Array.from({ length: clients }, () => 0);
    this.sent = Array.from({ length: clients }, () => 0);
    createDatabase(this.file, schemaFromJson(schema));
  }

  get total(): number {
    return this.acknowledged.reduce((sum, n) => sum + n, 0);
  }

  async #startServer(): Promise<void> {
    const args = [
      'dist/programs/run.cjs',
      'ovsdb-server',
      `--remote=punix:${this.#dir}/db.sock`,
      `--unixctl=${this.#dir}/ctl`,
    ];
    const child = spawn(process.execPath, [...args, '-vconsole:off', '-vsyslog:off', this.file], {
      cwd: root,
      stdio: 'ignore',
      env: { ...process.env, OVS_RUNDIR: this.#dir },
    });
    this.#server = child;
    await whenListening(join(this.#dir, 'db.sock'), child);
  }

  /** Kills the server in the middle of whatever it does and starts another. */
  async kill(): Promise<void> {
    const child = this.#server;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    this.#restart = (async () => {
      child.kill('SIGKILL');
      await ended;
      this.kills++;
      this.#keepAftermath();
      await this.#startServer();
    })();
    await this.#restart;
  }

  #keepAftermath(): void {
    const file = `${this.file}.${this.#aftermaths.length}`;
    copyFileSync(this.file, file);
    this.#aftermaths.push({ file, acknowledged: [...this.acknowledged], sent: [...this.sent] });
  }

  /**
   * Runs until `isDone`, called after each acknowledgement, says so.
   *
   * @throws Error if an acknowledged transaction is lost or one is there by half
   */
  async run(isDone: () => boolean): Promise<void> {
    await this.#startServer();
    await Promise.all(this.acknowledged.map(async (_, i) => await this.#client(i, isDone)));
    this.#isStopping = true;
    await this.#restart;
    const child = this.#server;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    this.#keepAftermath();
    for (const aftermath of this.#aftermaths) check(aftermath);
  }

  async #client(number: number, isDone: () => boolean): Promise<void> {
    while (!isDone() && !this.#isStopping) {
      await this.#restart;
      let client: TestClient;
      try {
        client = await TestClient.connect(join(this.#dir, 'db.sock'));
      } catch {
        // Killed again meanwhile.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      const isOpen = { value: true };
      void client.closed.then(() => {
        isOpen.value = false;
      });
      while (isOpen.value && !isDone()) await this.#transaction(client, number);
      client.close();
    }
  }

  async #transaction(client: TestClient, number: number): Promise<void> {
    const where: Json = [['number', '==', number]];
    const read = await client.call('transact', ['Storm', { op: 'select', table: 'Client', where }]);
    if (!succeeded(read)) return;
    const [rows] = resultsOf(read);
    const [row] = isJsonObject(rows) && isJsonArray(rows['rows']) ? rows['rows'] : [];
    const done = isJsonObject(row) ? Number(row['done']) : 0;
    const entries = isJsonObject(row) ? entriesOf(row['last']) : [];
    const serial = done + 1;
    this.sent[number] = Math.max(this.sent[number] ?? 0, serial);
    const last: Json = [
      'set',
      [...entries.slice(-4).map((uuid): Json => ['uuid', uuid]), ['named-uuid', 'entry']],
    ];
    const reply = await client.call('transact', [
      'Storm',
      { op: 'insert', table: 'Entry', row: { client: number, serial }, 'uuid-name': 'entry' },
      isJsonObject(row)
        ? { op: 'update', table: 'Client', where, row: { done: serial, last } }
        : { op: 'insert', table: 'Client', row: { number, done: serial, last } },
      ...(number % 2 === 0 ? [{ op: 'commit', durable: true }] : []),
    ]);
    if (succeeded(reply)) this.acknowledged[number] = serial;
  }
}

/** @throws Error if an acknowledged transaction is lost or one is there by half */
function check({ file, acknowledged, sent }: Aftermath): void {
  const storage = openDatabase(file, { isReadOnly: true });
  try {
    const { database } = storage;
    const counts = new Map<number, { done: number; entries: readonly string[] }>();
    for (const row of database.table('Client').rows.values()) {
      const entries = row.get('last').keys.map(String);
      counts.set(Number(row.get('number').keys[0]), { done: Number(row.get('done').keys[0]), entries });
    }
    let entryCount = 0;
    acknowledged.forEach((known, number) => {
      const { done, entries } = counts.get(number) ?? { done: 0, entries: [] };
      if (done < known) throw new Error(`client ${number}: ${known} acknowledged, ${done} found`);
      if (done > (sent[number] ?? 0)) throw new Error(`client ${number}: ${done} found, fewer sent`);
      const serials = entries.map((uuid) =>
        Number(database.table('Entry').rows.get(uuid)?.get('serial').keys[0]),
      );
      entryCount += entries.length;
      if (entries.length !== Math.min(done, 5) || (done > 0 && !serials.includes(done))) {
        throw new Error(`client ${number}: ${done} done, but entries ${serials.join(' ')}`);
      }
    });
    const { size } = database.table('Entry').rows;
    if (size !== entryCount) throw new Error(`${size} entries, ${entryCount} of them referred to`);
  } finally {
    storage.close();
  }
}

function resultsOf(reply: Json): readonly Json[] {
  const result = isJsonObject(reply) ? reply['result'] : undefined;
  return isJsonArray(result) ? result : [];
}

function succeeded(reply: Json): boolean {
  const results = resultsOf(reply);
  return results.length > 0 && !results.some((r) => isJsonObject(r) && r['error'] !== undefined);
}

function entriesOf(json: Json | undefined): string[] {
  if (!isJsonArray(json)) return [];
  const [tag, items] = json;
  const list = tag === 'set' && isJsonArray(items) ? items : [json];
  return list.flatMap((item) => (isJsonArray(item) && typeof item[1] === 'string' ? [item[1]] : []));
}
