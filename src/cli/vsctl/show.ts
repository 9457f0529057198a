/** show: an overview of the database. */
import { isDefaultDatum } from '../../ovsdb/data/datum.ts';
import { formatDatum } from '../../ovsdb/data/text.ts';
import type { Command, Context } from './context.ts';

/** What `show` prints of each table: the column with the name, and the columns under it. */
export const shown: Readonly<
  Record<string, { readonly name: string | null; readonly columns: readonly string[] }>
> = {
  Open_vSwitch: { name: null, columns: ['manager_options', 'bridges', 'ovs_version'] },
  Bridge: { name: 'name', columns: ['controller', 'fail_mode', 'datapath_type', 'ports'] },
  Port: { name: 'name', columns: ['tag', 'trunks', 'interfaces'] },
  Interface: { name: 'name', columns: ['type', 'options', 'error'] },
  Controller: { name: 'target', columns: ['is_connected'] },
  Manager: { name: 'target', columns: ['is_connected'] },
};

function showRow(
  context: Context,
  tableName: string,
  uuid: string,
  level: number,
  seen: Set<string>,
): string {
  const table = context.idl.table(tableName);
  const show = shown[tableName];
  if (table === undefined || show === undefined || seen.has(uuid)) return '';
  const indent = '    '.repeat(level);
  const text = (column: string): string => {
    const { type } = table.columns.get(column) ?? {};
    return type === undefined ? '' : formatDatum(type, context.transaction.datum(tableName, uuid, column));
  };
  let out = indent + (show.name === null ? uuid : `${tableName} ${text(show.name)}`) + '\n';
  for (const name of show.columns) {
    const column = table.columns.get(name);
    if (column === undefined) continue;
    const datum = context.transaction.datum(tableName, uuid, name);
    const { refTable } = column.type.key;
    if (refTable !== null && shown[refTable] !== undefined) {
      for (const ref of datum.keys)
        out += showRow(context, refTable, String(ref), level + 1, new Set([...seen, uuid]));
    } else if (!isDefaultDatum(column.type, datum)) {
      out += `${indent}    ${name}: ${text(name)}\n`;
    }
  }
  return out;
}

export const show: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  isReadOnly: true,
  run: (context) => showRow(context, 'Open_vSwitch', context.root, 0, new Set()),
};
