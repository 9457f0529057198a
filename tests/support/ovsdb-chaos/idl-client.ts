import { Idl, OvsdbClient, OvsdbError, describeDatabase } from '../../../src/ovsdb/client/index.ts';
import type { IdlRow, IdlTransaction, RowHandle, TypedRow } from '../../../src/ovsdb/client/index.ts';
import { datumToJson } from '../../../src/ovsdb/data/datum.ts';
import type { Json } from '../../../src/stream/index.ts';
import type { Dice } from '../ovsdb-schemas.ts';
import type { Pace } from './follower.ts';
import type { Gate } from './gate.ts';
import type { Ledger } from './ledger.ts';
import { chaosSchema, columnsOf, database } from './schema.ts';
import { WireReplica } from './wire-replica.ts';

/** Types of the schema, as far as the typed client's writer needs them. */
interface WriterRow extends TypedRow<'Writer'> {
  readonly name: string;
  readonly done: number;
}
interface Shape {
  readonly Writer: {
    readonly row: WriterRow;
    readonly columns: { name?: string; done?: number; last?: readonly RowHandle<'Entry'>[] };
  };
  readonly Entry: {
    readonly row: TypedRow<'Entry'>;
    readonly columns: { writer?: string; serial?: number; parts?: ReadonlyMap<string, RowHandle<'Part'>> };
  };
  readonly Part: {
    readonly row: TypedRow<'Part'>;
    readonly columns: { name?: string; sizes?: readonly number[] };
  };
  readonly Ledger: {
    readonly row: TypedRow<'Ledger'>;
    readonly columns: { writer?: string; serial?: number; note?: ReadonlyMap<string, number> };
  };
}
const description = describeDatabase<Shape>(chaosSchema(1, true));

const times = { probeIntervalMs: 400, maxBackoffMs: 500 };

/**
 * Our client library as a writer and follower: it goes to whichever server is there, and each of its transactions is to be done once, however
 * often it has to be tried. That is the writer's doing: it verifies the count that it changes.
 */
export class IdlClient {
  readonly name: string;
  readonly isTyped: boolean;
  readonly #typed: OvsdbClient<Shape> | null;
  readonly #idl: Idl;
  readonly #dice: Dice;
  readonly #pace: Pace;
  readonly #gate: Gate;
  readonly #ledger: Ledger;
  waitsFor = '';
  /** Connections made. */
  connections = 0;

  constructor(
    name: string,
    isTyped: boolean,
    sockets: readonly string[],
    dice: Dice,
    world: { readonly pace: Pace; readonly gate: Gate; readonly ledger: Ledger },
  ) {
    this.name = name;
    this.isTyped = isTyped;
    this.#dice = dice;
    this.#pace = world.pace;
    this.#gate = world.gate;
    this.#ledger = world.ledger;
    const remote = dice.shuffled(sockets).map((socket) => `unix:${socket}`);
    const options = { remote, shuffleRemotes: false, ...times };
    this.#typed = isTyped ? new OvsdbClient(description, options) : null;
    this.#idl = this.#typed?.idl ?? new Idl({ ...options, database, tables: 'all' });
    let wasConnected = false;
    this.#idl.onState(() => {
      if (this.#idl.isConnected && !wasConnected) this.connections++;
      wasConnected = this.#idl.isConnected;
    });
    this.#idl.start();
  }

  async run(): Promise<void> {
    const dice = this.#dice;
    this.waitsFor = 'first contents';
    await this.#whenReady();
    for (let serial = 1; !this.#pace.isOver(); serial++) {
      this.waitsFor = `transaction ${serial} on ${this.#idl.remote}`;
      await this.#gate.through(async () => await this.#transaction(serial));
      this.waitsFor = 'conditions';
      if (!this.isTyped && dice.chance(2))
        await this.#idl.setCondition('Part', dice.chance(50) ? [['name', '==', 'a']] : [true]);
      this.waitsFor = '';
      if (dice.chance(30)) await this.#pace.pass(dice.below(100));
    }
    if (!this.isTyped) await this.#idl.setCondition('Part', [true]);
  }

  /** A relay may not have the database yet, or not this client's row. */
  async #whenReady(): Promise<void> {
    while (this.#row() === undefined && !this.#pace.isOver()) await this.#pace.pass(20);
  }
  #row(): IdlRow | undefined {
    return this.#idl.rows('Writer').find((row) => row.str('name') === this.name);
  }

  async #transaction(serial: number): Promise<void> {
    if (this.#typed !== null) await this.#writeTyped(this.#typed, serial);
    else await this.#idl.transact((t) => this.#write(t, serial));
    this.#ledger.note(this.name, serial, 'done');
  }

  /** Adds what is missing: nothing if this transaction was done before. */
  #write(t: IdlTransaction, serial: number): void {
    const row = this.#row();
    if (row === undefined) throw new OvsdbError('no row', this.name);
    if (row.num('done') >= serial) return;
    t.verify('Writer', row.uuid, 'done');
    t.update('Writer', row.uuid, { done: serial });
    t.insert('Ledger', { writer: this.name, serial, note: new Map([['idl', serial]]) });
    const part = t.insert('Part', { name: 'a', sizes: [1, 2.5] });
    const entry = t.insert('Entry', { writer: this.name, serial, parts: new Map([['p', part]]) });
    const kept = row.uuids('last').slice(0, this.#dice.below(5));
    t.update('Writer', row.uuid, { last: [...kept, entry] });
    if (this.#dice.chance(30)) t.setKey('Writer', row.uuid, 'tags', 'serial', String(serial));
  }

  async #writeTyped(client: OvsdbClient<Shape>, serial: number): Promise<void> {
    await client.transact((t) => {
      const row = client.tables.Writer.find((r) => r.name === this.name);
      if (row === undefined) throw new OvsdbError('no row', this.name);
      if (row.done >= serial) return;
      t.verify(row, 'done');
      const part = t.insert('Part', { name: 'b', sizes: [3] });
      const entry = t.insert('Entry', { writer: this.name, serial, parts: new Map([['p', part]]) });
      t.update(row, { done: serial, last: [entry] });
      t.insert('Ledger', { writer: this.name, serial, note: new Map([['typed', serial]]) });
    });
  }

  /** Its replica, as `WireReplica.text`. */
  text(): string {
    const tables: Record<string, Json[]> = {};
    for (const [table, columns] of Object.entries(columnsOf))
      tables[table] = this.#idl.rows(table).map((row) => ({
        _uuid: ['uuid', row.uuid],
        ...Object.fromEntries(
          columns.map((name) => [name, datumToJson(row.column(name).type, row.datum(name))]),
        ),
      }));
    return WireReplica.textOfRows(tables);
  }
  get state(): string {
    return `${this.name} at ${this.#idl.remote}, ${this.#idl.isSynced ? 'synced' : 'not synced'}: ${this.waitsFor} ${this.#idl.lastError}`;
  }

  close(): void {
    this.#idl.close();
  }
}
