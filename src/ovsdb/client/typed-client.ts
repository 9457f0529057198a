/**
 * OvsdbClient: the IDL with the types of a schema.
 *
 *     const db = await connectOvsdb(openVSwitch, { remote: 'unix:/run/openvswitch/db.sock' });
 *     for (const bridge of db.tables.Bridge.rows) console.log(bridge.name, bridge.ports.map((p) => p.name));
 *     await db.transact((tx) => tx.setKey(bridge, 'external_ids', 'owner', 'me'));
 *     db.close();
 */
import { isBuiltinColumn } from '../schema.ts';
import type { DatabaseDescription, DatabaseShape, TypedRow } from './describe.ts';
import { Idl } from './idl.ts';
import type { IdlOptions } from './idl.ts';
import type { MonitorCondition } from './monitor-plan.ts';
import { TypedRows } from './typed-row.ts';
import { Committed, TypedTransaction } from './typed-transaction.ts';

export interface TypedChange<Row> {
  readonly kind: 'insert' | 'modify' | 'delete';
  readonly row: Row;
  /** Columns that changed; of an insert, those that differ from their defaults. */
  readonly columns: readonly string[];
}

export interface ConnectOptions<Shape extends DatabaseShape<Shape>> extends Omit<
  IdlOptions,
  'database' | 'tables' | 'conditions'
> {
  /** Tables and columns to monitor; default: all of the description. */
  readonly tables?: {
    readonly [Table in keyof Shape]?: readonly (keyof Shape[Table]['columns'] & string)[] | 'all';
  };
  /** Rows wanted of a table; all of them if absent. */
  readonly conditions?: { readonly [Table in keyof Shape]?: MonitorCondition };
}

/** One monitored table. */
export class TypedTable<Row> {
  readonly #idl: Idl;
  readonly #rows: TypedRows;
  readonly name: string;

  constructor(idl: Idl, rows: TypedRows, name: string) {
    this.#idl = idl;
    this.#rows = rows;
    this.name = name;
  }

  get rows(): readonly Row[] {
    return this.#idl.rows(this.name).map((row) => this.#rows.of(row) as Row);
  }
  get(uuid: string): Row | undefined {
    return this.#rows.find(this.name, uuid) as Row | undefined;
  }
  find(predicate: (row: Row) => boolean): Row | undefined {
    return this.rows.find(predicate);
  }
  /** Calls `fn` for each row that changed, after the replica has the whole update. @returns a function that stops it. */
  onChange(fn: (change: TypedChange<Row>) => void): () => void {
    return this.#idl.onChange((changes) => {
      for (const { table, kind, row, columns } of changes)
        if (table === this.name) fn({ kind, row: this.#rows.of(row) as Row, columns });
    });
  }
  /** Changes which rows are in the replica; resolves when they are. */
  async setCondition(condition: MonitorCondition): Promise<void> {
    await this.#idl.setCondition(this.name, condition);
  }
}

export type TypedTables<Shape extends DatabaseShape<Shape>> = {
  readonly [Table in keyof Shape]: TypedTable<Shape[Table]['row']>;
};

export class OvsdbClient<Shape extends DatabaseShape<Shape>> {
  /** The untyped client below. */
  readonly idl: Idl;
  readonly tables: TypedTables<Shape>;
  readonly #rows: TypedRows;

  /** For `connectOvsdb`, and for those who cannot wait for the contents: call `idl.start()`. */
  constructor(description: DatabaseDescription<Shape>, options: ConnectOptions<Shape>) {
    const { schema } = description;
    const { tables, conditions, ...rest } = options;
    const wanted: Record<string, readonly string[]> = {};
    for (const table of schema.tables.values()) {
      const columns =
        tables === undefined
          ? 'all'
          : (tables as Record<string, readonly string[] | 'all' | undefined>)[table.name];
      if (columns === undefined) continue;
      wanted[table.name] =
        columns === 'all' ? [...table.columns.keys()].filter((name) => !isBuiltinColumn(name)) : columns;
    }
    this.idl = new Idl({
      ...rest,
      database: schema.name,
      tables: wanted,
      ...(conditions === undefined
        ? {}
        : { conditions: conditions as Readonly<Record<string, MonitorCondition>> }),
    });
    const rows = new TypedRows(this.idl, schema);
    this.#rows = rows;
    this.tables = Object.fromEntries(
      [...schema.tables.keys()].map((name) => [name, new TypedTable<TypedRow>(this.idl, rows, name)]),
    ) as unknown as TypedTables<Shape>;
  }

  /**
   * Builds a transaction and commits it; repeats both while what was verified had changed or the
   * connection was lost before the reply (the server may have done it then: look before you write).
   *
   * @throws OvsdbError of the server, e.g. `constraint violation`.
   */
  async transact(build: (transaction: TypedTransaction<Shape>) => void): Promise<Committed<Shape>> {
    const done = await this.idl.transact((transaction) => build(new TypedTransaction<Shape>(transaction)));
    return new Committed<Shape>(done, this.#rows);
  }

  /** Closes the connection for good. */
  close(): void {
    this.idl.close();
  }
}

/**
 * Connects and waits for the first contents.
 *
 * @throws OvsdbError if the database does not exist or `maxTries` are used up; SystemError for a bad remote.
 */
export async function connectOvsdb<Shape extends DatabaseShape<Shape>>(
  description: DatabaseDescription<Shape>,
  options: ConnectOptions<Shape>,
): Promise<OvsdbClient<Shape>> {
  const client = new OvsdbClient<Shape>(description, options);
  client.idl.start();
  try {
    await client.idl.ready();
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}
