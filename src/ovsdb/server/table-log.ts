/** The log lines of tables that are watched by `ovsdb-server/tlog-set`. */
import { rateLimit, vlog } from '../../util/log.ts';
import { formatDatum } from '../data/text.ts';
import { rowDatum } from './database.ts';
import type { Changes, Table } from './database.ts';

const log = vlog('transaction');
const limit = rateLimit(30, 60);

/** One line for each change of a row, with all of its columns. */
export function logChanges(tables: ReadonlySet<Table>, changes: Changes): void {
  for (const { table, old, new: row } of changes) {
    const shown = row ?? old;
    if (shown === undefined || !tables.has(table)) continue;
    const op = old === undefined ? 'inserted' : row === undefined ? 'deleted' : 'updated';
    const columns = [...table.schema.columns.values()].map(
      ({ name, type }) => `${name}:${formatDatum(type, rowDatum(shown, name))}`,
    );
    log.info(`table:${table.schema.name},op:${op},${columns.join(',')}`, limit);
  }
}
