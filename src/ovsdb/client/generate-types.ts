/**
 * Writes TypeScript for a database schema: for each table its rows as read (references followed), its
 * columns as written, and a description of the whole for `connectOvsdb`.
 */
import { formatJson } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { isOptional, isScalar } from '../data/type.ts';
import type { BaseType } from '../data/type.ts';
import { OvsdbError } from '../errors.ts';
import { isBuiltinColumn, schemaFromJson } from '../schema.ts';
import type { ColumnSchema, DatabaseSchema, TableSchema } from '../schema.ts';

const scalars: Record<BaseType['type'], string> = {
  integer: 'number',
  real: 'number',
  boolean: 'boolean',
  string: 'string',
  uuid: 'string',
};

export interface GenerateOptions {
  /** Module that exports `describeDatabase`; default `megaflow/ovsdb`. */
  readonly module?: string;
  /** First line of the file. */
  readonly banner?: string;
}

/** `Open_vSwitch` -> `OpenVSwitch`. */
function typeName(name: string): string {
  return name
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

/**
 * @param schemaJson As in an `.ovsschema` file.
 * @returns The text of a TypeScript module.
 * @throws OvsdbError `syntax error`; also if two tables would get one name.
 */
export function generateDatabaseTypes(schemaJson: Json, options: GenerateOptions = {}): string {
  const schema = schemaFromJson(schemaJson);
  checkNames(schema);
  const { module = 'megaflow/ovsdb', banner = '// Generated from a database schema. Do not edit.' } = options;
  const tables = [...schema.tables.values()];
  const name = typeName(schema.name);
  const text = tables.map(tableText).join('\n');
  const types = ['MapInput', 'Reference', 'TypedRow'].filter((type) => text.includes(`${type}<`));
  const shape = tables
    .map((t) => `  ${t.name}: { row: ${typeName(t.name)}Row; columns: ${typeName(t.name)}Columns };\n`)
    .join('');
  return (
    `${banner}\n` +
    `import { describeDatabase } from '${module}';\n` +
    `import type { DatabaseDescription, ${types.join(', ')} } from '${module}';\n\n` +
    `${text}\n` +
    `/** The tables of ${schema.name}, for \`OvsdbClient<${name}Tables>\`. */\n` +
    `export interface ${name}Tables {\n${shape}}\n\n` +
    `/** ${schema.name} ${schema.version}, for \`connectOvsdb\`. */\n` +
    `export const ${name.charAt(0).toLowerCase()}${name.slice(1)}: DatabaseDescription<${name}Tables> = ` +
    `describeDatabase<${name}Tables>(\n  ${formatJson(schemaJson)},\n);\n`
  );
}

function checkNames(schema: DatabaseSchema): void {
  const seen = new Map<string, string>();
  for (const table of schema.tables.keys()) {
    const other = seen.get(typeName(table));
    if (other !== undefined)
      throw new OvsdbError(
        'syntax error',
        `tables ${other} and ${table} would share the type ${typeName(table)}`,
      );
    seen.set(typeName(table), table);
  }
}

function tableText(table: TableSchema): string {
  const columns = [...table.columns.values()].filter((c) => !isBuiltinColumn(c.name));
  const name = typeName(table.name);
  return (
    `/** A row of ${table.name}. */\n` +
    `export interface ${name}Row extends TypedRow<'${table.name}'> {\n` +
    columns.map((c) => `  readonly ${c.name}: ${readType(c)};\n`).join('') +
    `}\n\n` +
    `/** Columns of ${table.name} to write; \`null\` empties one. */\n` +
    `export interface ${name}Columns {\n` +
    columns.map((c) => `  readonly ${c.name}?: ${writeType(c)};\n`).join('') +
    `}\n`
  );
}

function baseType(base: BaseType, isRead: boolean): string {
  if (base.refTable !== null)
    return isRead ? `${typeName(base.refTable)}Row` : `Reference<'${base.refTable}'>`;
  if (base.enum !== null)
    return base.enum.map((atom) => (typeof atom === 'string' ? formatJson(atom) : String(atom))).join(' | ');
  return !isRead && base.type === 'integer' ? 'number | bigint' : scalars[base.type];
}

const listOf = (type: string): string => `readonly ${type.includes(' ') ? `(${type})` : type}[]`;

function readType({ type }: ColumnSchema): string {
  const key = baseType(type.key, true);
  if (type.value !== null) return `ReadonlyMap<${key}, ${baseType(type.value, true)}>`;
  if (isOptional(type)) return `${key} | undefined`;
  // The row referred to need not be in the replica.
  if (isScalar(type)) return type.key.refTable === null ? key : `${key} | undefined`;
  return listOf(key);
}

function writeType({ type }: ColumnSchema): string {
  const key = baseType(type.key, false);
  if (type.value !== null) {
    const keyType = type.key.refTable === null ? key : 'string';
    return `MapInput<${keyType}, ${baseType(type.value, false)}> | null`;
  }
  if (isOptional(type)) return `${key} | null | undefined`;
  return isScalar(type) ? key : `${listOf(key)} | null`;
}
