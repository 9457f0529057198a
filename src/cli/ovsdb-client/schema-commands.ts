/** list-dbs, get-schema and its parts, list-tables, list-columns, convert, needs-conversion. */
import { isJsonArray, jsonEquals } from '../../stream/index.ts';
import { columnTypeToJson } from '../../ovsdb/data/type.ts';
import { isBuiltinColumn, schemaToJson } from '../../ovsdb/schema.ts';
import type { DatabaseSchema, TableSchema } from '../../ovsdb/schema.ts';
import { readSchemaFile } from '../../ovsdb/server/share-dir.ts';
import { UsageError } from '../../util/errors.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { fetchSchema, printJson } from './command.ts';
import type { Command, Run } from './command.ts';

/**
 * Tables or columns in the order in which the stock client walks them: it keeps them in hash tables, filled
 * with the built-in columns, then with the members of a JSON object, which is a hash table too.
 */
function hashOrder<T extends { readonly name: string }>(items: Iterable<T>): T[] {
  const hash = (item: T): number => hashString(item.name);
  const all = [...items];
  const builtin = all.filter((item) => isBuiltinColumn(item.name));
  const own = all.filter((item) => !isBuiltinColumn(item.name));
  return hmapOrder([...builtin, ...hmapOrder(own, hash)], hash);
}

/** @throws UsageError */
export function tableNamed(schema: DatabaseSchema, name: string): TableSchema {
  const table = schema.tables.get(name);
  if (table === undefined) throw new UsageError(`No table "${name}" found.`);
  return table;
}

const listDbs: Command = {
  needs: 'server',
  minArgs: 0,
  maxArgs: 0,
  run: async ({ connection, output }) => {
    const names = await connection.call('list_dbs', []);
    if (!isJsonArray(names)) throw new UsageError('list_dbs response is not array');
    output.out(
      names
        .map(String)
        .sort()
        .map((name) => `${name}\n`)
        .join(''),
    );
  },
};

/** A command that prints something of the schema. */
function ofSchema(text: (schema: DatabaseSchema) => string): Command {
  return {
    needs: 'database',
    minArgs: 0,
    maxArgs: 0,
    run: async (run) => run.output.out(`${text(await fetchSchema(run))}\n`),
  };
}

const getSchema: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: 0,
  run: async (run) => printJson(run, schemaToJson(await fetchSchema(run))),
};

const listTables: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: 0,
  run: async (run) => {
    const tables = hashOrder((await fetchSchema(run)).tables.values());
    run.output.out(run.style.print({ headings: ['Table'], rows: tables.map((table) => [table.name]) }));
  },
};

const listColumns: Command = {
  needs: 'database',
  minArgs: 0,
  maxArgs: 1,
  run: async (run) => {
    const schema = await fetchSchema(run);
    const [name] = run.args;
    const tables = hashOrder(schema.tables.values()).filter((t) => name === undefined || t.name === name);
    const rows = tables.flatMap((table) =>
      hashOrder(table.columns.values()).map((column) => [
        ...(name === undefined ? [table.name] : []),
        column.name,
        { json: columnTypeToJson(column.type) },
      ]),
    );
    const headings = [...(name === undefined ? ['Table'] : []), 'Column', 'Type'];
    run.output.out(run.style.print({ headings, rows }));
  },
};

/** The schema in a file and the server's database of the same name. */
async function fileAndServer(run: Run): Promise<{ wanted: DatabaseSchema; found: DatabaseSchema }> {
  const wanted = readSchemaFile(run.args[0] ?? '');
  return { wanted, found: await fetchSchema({ ...run, database: wanted.name }) };
}

const needsConversion: Command = {
  needs: 'server',
  minArgs: 1,
  maxArgs: 1,
  run: async (run) => {
    const { wanted, found } = await fileAndServer(run);
    run.output.out(jsonEquals(schemaToJson(wanted), schemaToJson(found)) ? 'no\n' : 'yes\n');
  },
};

const convert: Command = {
  needs: 'server',
  minArgs: 1,
  maxArgs: 1,
  run: async ({ connection, args }) => {
    const schema = readSchemaFile(args[0] ?? '');
    await connection.call('convert', [schema.name, schemaToJson(schema)]);
  },
};

export const schemaCommands: Readonly<Record<string, Command>> = {
  'list-dbs': listDbs,
  'get-schema': getSchema,
  'get-schema-version': ofSchema((schema) => schema.version),
  'get-schema-cksum': ofSchema((schema) => schema.cksum),
  'list-tables': listTables,
  'list-columns': listColumns,
  'needs-conversion': needsConversion,
  convert,
};
