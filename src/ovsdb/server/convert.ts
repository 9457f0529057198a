/** The contents of a database under another schema (`convert`, ovsdb-server(7)). */
import { datumFromJson, datumToJson } from '../data/datum.ts';
import type { Datum } from '../data/datum.ts';
import type { DatabaseSchema } from '../schema.ts';
import { Database } from './database.ts';
import { Transaction } from './transaction.ts';

/**
 * A database of `schema` with the rows of `database`: tables and columns that the schema lacks are dropped, new columns
 * have their defaults.
 *
 * @param isStored Takes what a file holds, which is nothing of columns that have their defaults: they get those of `schema`, even
 *   where it does not allow them. A database in use is converted with all its columns.
 * @throws OvsdbError if the contents violate the new schema
 */
export function convertedDatabase(database: Database, schema: DatabaseSchema, isStored = false): Database {
  const converted = new Database(schema);
  const transaction = new Transaction(converted);
  for (const [name, old] of database.tables) {
    const table = converted.tables.get(name);
    if (table === undefined) continue;
    for (const row of old.rows.values()) {
      const columns = new Map<string, Datum>();
      for (const from of old.layout.columns) {
        const to = table.schema.columns.get(from.name);
        if (to === undefined || (isStored && (!from.isPersistent || row.hasDefault(from.name)))) continue;
        columns.set(from.name, datumFromJson(to.type, datumToJson(from.type, row.get(from.name))));
      }
      transaction.insert(table, row.uuid, columns);
    }
  }
  transaction.check();
  converted.load(transaction.changes());
  return converted;
}
