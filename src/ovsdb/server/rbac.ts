/**
 * Role-based access control: what a client with a role may change (ovsdb-server(7), "Schema Format").
 *
 * A remote gives its clients a role; the table RBAC_Role maps it to one row of permissions per table.
 * Such a row says which rows are the client's (`authorization`: columns of at most one string, or column:key pairs,
 * that must hold the client's identity, the common name of its certificate; the empty text admits everyone),
 * whether it may insert and delete them, and which columns it may update. Reading is never restricted, and
 * where no row is found only the table has to be allowed. As the stock server decides, `update` has to name a column without a key.
 */
import { rateLimit, vlog } from '../../util/log.ts';
import type { Datum } from '../data/datum.ts';
import { OvsdbError } from '../errors.ts';
import { rowDatum } from './database.ts';
import type { Database, Row, Table } from './database.ts';

const log = vlog('ovsdb_rbac');
const warnings = rateLimit(5, 20);

const roleTable = 'RBAC_Role';

export interface Client {
  /** Empty: may do everything. */
  readonly role: string;
  /** Null for one without a verified certificate. */
  readonly id: string | null;
}

/** @throws OvsdbError `permission error` from every method if the client may not do it */
export class AccessControl {
  readonly #database: Database;
  readonly #client: Client;

  constructor(database: Database, client: Client) {
    this.#database = database;
    this.#client = client;
  }

  /** What applies to a client; null if it may do everything. */
  static of(database: Database, client: Client): AccessControl | null {
    if (client.role === '' || !database.tables.has(roleTable)) return null;
    return new AccessControl(database, client);
  }

  insert(table: Table, columns: ReadonlyMap<string, Datum>): void {
    const permissions = this.#permissionsOn(table);
    const read = (name: string): Datum | undefined => columns.get(name) ?? table.defaults.get(name);
    if (permissions !== null && this.#owns(permissions, table, read) && mayInsertAndDelete(permissions))
      return;
    throw this.#denied('row insertion into', table);
  }

  delete(table: Table, rows: readonly Row[]): void {
    const permissions = this.#permissionsOn(table);
    if (permissions !== null) {
      if (rows.every((row) => this.#ownsRow(permissions, table, row) && mayInsertAndDelete(permissions)))
        return;
    }
    throw this.#denied('row deletion from', table);
  }

  update(table: Table, rows: readonly Row[], columns: Iterable<string>): void {
    if (this.#mayChange(table, rows, columns)) return;
    throw this.#denied('modification of', table);
  }

  mutate(table: Table, rows: readonly Row[], columns: Iterable<string>): void {
    if (this.#mayChange(table, rows, columns)) return;
    throw this.#denied('mutate operation on', table);
  }

  #mayChange(table: Table, rows: readonly Row[], columns: Iterable<string>): boolean {
    const permissions = this.#permissionsOn(table);
    if (permissions === null) return false;
    if (rows.length === 0) return true;
    const updatable = new Set(texts(permissions, 'update'));
    for (const column of columns) if (!updatable.has(column)) return false;
    return rows.every((row) => this.#ownsRow(permissions, table, row));
  }

  #denied(what: string, table: Table): OvsdbError {
    return permissionError(this.#client, `${what} table "${table.schema.name}".`);
  }

  /** The row of permissions for a table, null if there is none. */
  #permissionsOn(table: Table): Row | null {
    const { role, id } = this.#client;
    if (id === null) return null;
    const roles = this.#database.table(roleTable);
    const found = [...roles.rows.values()].find((row) => rowDatum(row, 'name').keys[0] === role);
    if (found === undefined) {
      log.info(`rbac: role "${role}" not found in rbac roles table`, warnings);
      return null;
    }
    const column = roles.schema.columns.get('permissions');
    const refTable = column?.type.value?.refTable;
    if (refTable == null) {
      log.info('rbac: "permissions" column not present in rbac roles table', warnings);
      return null;
    }
    const { keys, values } = rowDatum(found, 'permissions');
    const uuid = values?.[keys.findIndex((key) => key === table.schema.name)];
    return uuid === undefined ? null : (this.#database.table(refTable).rows.get(String(uuid)) ?? null);
  }

  #ownsRow(permissions: Row, table: Table, row: Row): boolean {
    return this.#owns(permissions, table, (name) => row.get(name));
  }

  /** Whether a row is the client's by one of the ways that its permissions name. */
  #owns(permissions: Row, table: Table, read: (column: string) => Datum | undefined): boolean {
    const { id } = this.#client;
    return texts(permissions, 'authorization').some((text) => {
      if (text === '') return true;
      const colon = text.indexOf(':');
      const name = colon < 0 ? text : text.slice(0, colon);
      const datum = read(name);
      if (datum === undefined) return false;
      if (colon < 0) return isScalar(table, name) && datum.keys[0] === id;
      const at = datum.keys.findIndex((key) => key === text.slice(colon + 1));
      return at >= 0 && datum.values?.[at] === id;
    });
  }
}

function isScalar(table: Table, column: string): boolean {
  const type = table.schema.columns.get(column)?.type;
  return type?.value === null && type.max === 1;
}

function mayInsertAndDelete(permissions: Row): boolean {
  return rowDatum(permissions, 'insert_delete').keys[0] === true;
}

function texts(row: Row, column: string): string[] {
  return rowDatum(row, column).keys.map(String);
}

/** @param what E.g. `modification of table "T".` */
export function permissionError({ role, id }: Client, what: string): OvsdbError {
  return new OvsdbError(
    'permission error',
    `RBAC rules for client "${id ?? '(null)'}" role "${role}" prohibit ${what}`,
  );
}
