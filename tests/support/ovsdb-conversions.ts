import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OvsdbServer } from '../../src/ovsdb/server/server.ts';
import { createDatabase, openDatabase } from '../../src/ovsdb/server/storage.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { StockDied } from './ovsdb-pair.ts';
import { Dice, randomSchema, schemaJson } from './ovsdb-schemas.ts';
import type { SchemaModel } from './ovsdb-schemas.ts';
import { changedSchema } from './ovsdb-schema-changes.ts';
import { TransactionGenerator } from './ovsdb-transactions.ts';
import { TestClient, canonical, startOurs, startStock } from './ovsdb.ts';
import type { ServerUnderTest } from './ovsdb.ts';
import { ToolDifferential } from './tool-differential.ts';
import type { ToolOutcome } from './tool-batch.ts';

const kinds = ['ours', 'stock'] as const;
type Kind = (typeof kinds)[number];
const zeroUuid = '00000000-0000-0000-0000-000000000000';

/** What a conversion was like. */
export interface ConversionResult {
  /** Whether the contents fitted the new schema. */
  readonly isConverted: boolean;
  /** Errors equal but for the row that they name. */
  readonly loose: number;
}

/** A database file of random contents. */
async function writeContents(dice: Dice, schema: SchemaModel, json: Json, file: string): Promise<void> {
  createDatabase(file, schemaFromJson(json));
  const storage = openDatabase(file);
  const server = new OvsdbServer();
  const { database } = storage;
  server.addDatabase(database, storage);
  const generator = new TransactionGenerator(dice, schema);
  for (let count = dice.pick([0, 3, 10, 30]); count > 0; count--) {
    const operations = dice.chance(40) ? generator.start() : generator.transaction();
    const results = await new Promise<readonly Json[]>((resolve) => {
      const withoutWaits = operations.filter((o) => !isJsonObject(o) || o['op'] !== 'wait');
      server.transact({
        database,
        operations: withoutWaits,
        isReadOnly: false,
        hasLock: () => false,
        onDone: resolve,
      });
    });
    if (results.some((r) => isJsonObject(r) && r['error'] !== undefined)) continue;
    for (const [name, { rows }] of database.tables)
      for (const uuid of rows.keys()) generator.learn(name, uuid);
  }
  await server.close();
}

/** Which of several rows at fault is named depends on the order of a hash table. */
function gist(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
    .replaceAll(/(rows? with index|have identical values|for (index|column)|syntax|value) .*/g, '$1');
}

/** Of columns and rows that a conversion or an insertion finds wrong one is named, by the order of a hash table again. */
function liveGist(text: string): string {
  return gist(text).replace(/"(result":\[|error":)\{"details":.*/, '$1');
}

/** Without the time of day and whether a change stands as a difference, which is up to the writer; lines sorted: members of JSON objects come in the order of hash tables. */
function shownLog(text: string): string {
  return text
    .replaceAll(' diff:', ':')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?/g, 'TIME')
    .split('\n')
    .sort()
    .join('\n');
}

/**
 * A random database, and a random change of its schema, given to our tools and server and to the stock ones: what they say,
 * what clients with monitors see, what the files hold, each read by both sides.
 */
class Conversion {
  readonly #dir: string;
  readonly #dice: Dice;
  readonly #tools: ToolDifferential;
  readonly #tables: readonly [readonly string[], readonly string[]];
  readonly #old: Json;
  readonly #new: Json;
  loose = 0;
  isConverted = false;

  constructor(
    dir: string,
    dice: Dice,
    models: readonly [SchemaModel, SchemaModel],
    schemas: readonly [Json, Json],
  ) {
    this.#dir = dir;
    this.#dice = dice;
    this.#old = schemas[0];
    this.#new = schemas[1];
    const names = (model: SchemaModel): string[] => model.tables.map((t) => t.name);
    this.#tables = [names(models[0]), names(models[1])];
    for (const kind of kinds) {
      mkdirSync(join(dir, kind));
      copyFileSync(join(dir, 'base.db'), join(dir, kind, 'a.db'));
      writeFileSync(join(dir, kind, 'old'), formatJson(this.#old));
      writeFileSync(join(dir, kind, 'new'), formatJson(this.#new));
    }
    this.#tools = new ToolDifferential({ ours: join(dir, 'ours'), stock: join(dir, 'stock') });
  }

  #same(what: string, a: string, b: string, essence = gist): void {
    const [ours, stock] = [a, b].map(sameReals);
    if (ours === undefined || stock === undefined || ours === stock) return;
    this.loose++;
    if (essence(ours) !== essence(stock)) throw new Error(`${what}\n  ours  ${ours}\n  stock ${stock}`);
  }

  /** A command line given to both sides. @returns the stock outcome */
  async #both(line: string, change: (text: string) => string = (text) => text): Promise<ToolOutcome> {
    const [ours, stock] = await Promise.all([this.#tools.ours(line), this.#tools.stock(line)]);
    this.#same(line, outcomeText(ours, change), outcomeText(stock, change));
    return stock;
  }

  /** What a file of either side holds, by each side's tool. */
  async #sameFile(name: string, tables: readonly string[]): Promise<void> {
    await this.#both(`ovsdb-tool -mm show-log ${name}`, shownLog);
    const query = this.#query(tables);
    const rows = (text: string): string => {
      if (!text.startsWith('[')) return text;
      return formatJson(canonical(parseJson(text)), true);
    };
    await this.#both(`ovsdb-tool query ${name} '${query}'`, rows);
    // The other side's file.
    for (const kind of kinds)
      copyFileSync(join(this.#dir, kind, name), join(this.#dir, other(kind), 'theirs'));
    await this.#both(`ovsdb-tool query theirs '${query}'`, rows);
    await this.#both('ovsdb-tool -mm show-log theirs', shownLog);
  }

  async files(): Promise<void> {
    for (const command of ['db-name', 'db-version', 'db-cksum'])
      await this.#both(`ovsdb-tool ${command} a.db`);
    for (const command of ['schema-name', 'schema-version', 'schema-cksum'])
      await this.#both(`ovsdb-tool ${command} new`);
    await this.#both('ovsdb-tool needs-conversion a.db new');
    await this.#sameFile('a.db', this.#tables[0]);
    await this.#both('ovsdb-tool compact a.db');
    await this.#sameFile('a.db', this.#tables[0]);
    await this.#convertFile('ovsdb-tool convert a.db new b.db', 'b.db');
    await this.#sameFile('a.db', this.#tables[0]);
    await this.#convertFile('ovsdb-tool convert a.db new', 'a.db');
  }

  /**
   * Converts a file of one transaction: the stock ovsdb-tool takes each for itself, which the new schema may forbid though it
   * allows what they make together.
   */
  async #convertFile(line: string, name: string): Promise<void> {
    const [ours, stock] = [await this.#tools.ours(line), await this.#tools.stock(line)];
    const isRefused = /^ovsdb-tool: (constraint|referential integrity) violation/.test(ours.stderr);
    if (ours.status === 1 && stock.status === 0 && isRefused) {
      // What violates limits, indexes or references of the new schema is lost without a word.
      const query = this.#query(this.#tables[1]);
      const { stdout } = await this.#tools.stock(`ovsdb-tool query ${name} '${query}'`);
      if (stdout.includes('_uuid')) throw new Error(`${line}\n  ours  ${ours.stderr}\n  stock ${stdout}`);
      return;
    }
    this.#same(line, outcomeText(ours), outcomeText(stock));
    if (stock.status !== 0) return;
    await this.#both(`ovsdb-tool needs-conversion ${name} new`);
    await this.#both(`ovsdb-tool db-cksum ${name}`);
    await this.#sameFile(name, this.#tables[1]);
  }

  #query(tables: readonly string[]): string {
    return formatJson(['Test', ...tables.map((table) => ({ op: 'select', table, where: [] }))]);
  }

  /** `convert` on servers that have clients of every kind. */
  async servers(): Promise<void> {
    const base = join(this.#dir, 'base.db');
    const [ours, stock] = [await startOurs(this.#old, base), await startStock(this.#old, base)];
    const seed = this.#dice.below(1 << 30);
    try {
      const seen = [
        await this.#live(ours, 'ours', new Dice(seed)),
        await this.#live(stock, 'stock', new Dice(seed)),
      ];
      const [a = [], b = []] = seen;
      b.forEach((line, i) => this.#same(`live step ${i}`, a[i] ?? '', line, liveGist));
      for (const [kind, server] of [
        ['ours', ours],
        ['stock', stock],
      ] as const)
        copyFileSync(server.file, join(this.#dir, kind, 'live.db'));
      await this.#sameFile('live.db', this.#tables[this.isConverted ? 1 : 0]);
    } finally {
      await ours.stop();
      await stock.stop();
    }
  }

  async #live(server: ServerUnderTest, kind: Kind, dice: Dice): Promise<string[]> {
    const clients: TestClient[] = [];
    const seen: string[] = [];
    const note = (what: Json): void => {
      seen.push(
        formatJson(canonical(what), true).replaceAll(/"update3",(\["?\w+"?),"[^"]*"/g, '"update3",$1,"ID"'),
      );
    };
    const everything = Object.fromEntries(this.#tables[0].map((name) => [name, [{}]]));
    for (const [i, version] of [0, 1, 2, 3, 1, 2, 3].entries()) {
      const client = await TestClient.connect(server.socket);
      clients.push(client);
      if (i >= 4 || dice.chance(20)) note(await client.call('set_db_change_aware', [i >= 4]));
      const method = ['list_dbs', 'monitor', 'monitor_cond', 'monitor_cond_since'][version] ?? '';
      const params: Json[] = version === 0 ? [] : ['Test', i, everything];
      if (version === 3) params.push(zeroUuid);
      const reply = await client.call(method, params);
      if (version === 3 && isJsonObject(reply) && isJsonArray(reply['result']))
        note([reply['result'][0] ?? null, reply['result'][2] ?? null]);
      else note(reply);
      if (dice.chance(50)) {
        const requests = { Database: [{ columns: ['name', 'schema'], where: [['name', '==', 'Test']] }] };
        note(gistOfServer(await client.call('monitor_cond', ['_Server', 's', requests])));
      }
    }
    const changer = await TestClient.connect(server.socket);
    if (dice.chance(50)) note(await changer.call('set_db_change_aware', [true]));
    if (dice.chance(30))
      note(
        await changer.call(
          'convert',
          dice.pick<Json[]>([
            [],
            ['Test'],
            ['Test', 1],
            ['Nope', this.#new],
            ['_Server', this.#new],
            ['Test', { name: 'Tes', tables: {} }],
            ['Test', this.#new, 1],
            [1, this.#new],
          ]),
        ),
      );
    const conversion = await changer.call('convert', ['Test', this.#new]);
    if (isJsonObject(conversion) && conversion['error'] === 'connection lost') throw new StockDied();
    note(conversion);
    const isConverted = isJsonObject(conversion) && conversion['result'] !== undefined;
    if (kind === 'stock') this.isConverted = isConverted;
    // A connection that is made now is served after whatever the conversion told the others.
    const late = await TestClient.connect(server.socket);
    note(await late.call('get_schema', ['Test']));
    for (const client of [...clients, changer]) {
      const echo = await client.call('echo', [1]);
      // When `_Server` is told of the new schema is each server's own affair.
      const notifications = client.notifications
        .splice(0)
        .filter(({ params }) => params[0] !== 's')
        .map(({ method, params }): Json => [method, params]);
      note([echo, ...notifications]);
    }
    const names = this.#tables[isConverted ? 1 : 0];
    note(
      await late.call('transact', ['Test', ...names.map((table) => ({ op: 'select', table, where: [] }))]),
    );
    note(
      await late.call('transact', [
        'Test',
        { op: 'insert', table: names[0] ?? '', row: {}, uuid: 'aaaaaaaa-0000-4000-8000-000000000001' },
      ]),
    );
    for (const client of [...clients, changer, late]) client.close();
    return seen;
  }

  async close(): Promise<void> {
    await this.#tools.close();
  }
}

function outcomeText(
  { status, stdout, stderr }: ToolOutcome,
  change = (text: string): string => text,
): string {
  return `${String(status)} ${change(stdout)} ${stderr}`;
}

/** Reals have several forms in JSON, which shows where it stands in a text. */
function sameReals(text: string): string {
  return text
    .replaceAll('0.3333333333333333', '0.333333333333333')
    .replaceAll('1e+15', '1000000000000000')
    .replaceAll('1e+16', '10000000000000000')
    .replaceAll('e-0', 'e-');
}

/** `_Server` has uuids of each server's own. */
function gistOfServer(json: Json): Json {
  return parseJson(
    formatJson(json).replaceAll(/"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"/g, '"UUID"'),
  );
}

function other(kind: Kind): Kind {
  return kind === 'ours' ? 'stock' : 'ours';
}

/**
 * Converts one random database.
 *
 * @throws Error with the first difference as its cause
 */
export async function runConversion(seed: number): Promise<ConversionResult> {
  const dice = new Dice(seed);
  const dir = mkdtempSync(join(tmpdir(), 'conversion-'));
  const model = randomSchema(dice);
  const changed = changedSchema(dice, model);
  const schemas = [schemaJson(model), schemaJson(changed, dice.pick(['1.2.3', '1.2.4', '2.0.0']))] as const;
  let conversion: Conversion | undefined;
  try {
    await writeContents(dice, model, schemas[0], join(dir, 'base.db'));
    conversion = new Conversion(dir, dice, [model, changed], schemas);
    await conversion.files();
    await conversion.servers();
    const { isConverted, loose } = conversion;
    return { isConverted, loose };
  } catch (error) {
    if (error instanceof StockDied) return { isConverted: false, loose: 0 };
    throw new Error(`seed ${seed}: ${formatJson(schemas[0], true)} to ${formatJson(schemas[1], true)}`, {
      cause: error,
    });
  } finally {
    await conversion?.close();
    rmSync(dir, { recursive: true });
  }
}
