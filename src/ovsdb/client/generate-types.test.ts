import { describe, expect, it } from 'vitest';
import { generateDatabaseTypes } from './generate-types.ts';

describe('generateDatabaseTypes', () => {
  it('writes a type for each kind of column', () => {
    const text = generateDatabaseTypes({
      name: 'a_db',
      version: '1.2.3',
      tables: {
        Some_table: {
          columns: {
            s: { type: 'string' },
            opt: { type: { key: 'integer', min: 0 } },
            word: { type: { key: { type: 'string', enum: ['set', ['b', 'a"']] }, min: 0 } },
            list: { type: { key: { type: 'string', enum: ['set', ['x', 'y']] }, min: 0, max: 'unlimited' } },
            one: { type: { key: { type: 'uuid', refTable: 'Other' } } },
            many: { type: { key: { type: 'uuid', refTable: 'Other' }, min: 0, max: 5 } },
            map: { type: { key: 'integer', value: { type: 'uuid', refTable: 'Other' }, min: 0, max: 9 } },
          },
        },
        Other: { columns: { flag: { type: 'boolean' } } },
      },
    });
    expect(text.slice(0, text.indexOf('export const'))).toMatchInlineSnapshot(`
      "// Generated from a database schema. Do not edit.
      import { describeDatabase } from 'megaflow/ovsdb';
      import type { DatabaseDescription, MapInput, Reference, TypedRow } from 'megaflow/ovsdb';

      /** A row of Some_table. */
      export interface SomeTableRow extends TypedRow<'Some_table'> {
        readonly s: string;
        readonly opt: number | undefined;
        readonly word: "a\\"" | "b" | undefined;
        readonly list: readonly ("x" | "y")[];
        readonly one: OtherRow | undefined;
        readonly many: readonly OtherRow[];
        readonly map: ReadonlyMap<number, OtherRow>;
      }

      /** Columns of Some_table to write; \`null\` empties one. */
      export interface SomeTableColumns {
        readonly s?: string;
        readonly opt?: number | bigint | null | undefined;
        readonly word?: "a\\"" | "b" | null | undefined;
        readonly list?: readonly ("x" | "y")[] | null;
        readonly one?: Reference<'Other'>;
        readonly many?: readonly Reference<'Other'>[] | null;
        readonly map?: MapInput<number | bigint, Reference<'Other'>> | null;
      }

      /** A row of Other. */
      export interface OtherRow extends TypedRow<'Other'> {
        readonly flag: boolean;
      }

      /** Columns of Other to write; \`null\` empties one. */
      export interface OtherColumns {
        readonly flag?: boolean;
      }

      /** The tables of a_db, for \`OvsdbClient<ADbTables>\`. */
      export interface ADbTables {
        Some_table: { row: SomeTableRow; columns: SomeTableColumns };
        Other: { row: OtherRow; columns: OtherColumns };
      }

      /** a_db 1.2.3, for \`connectOvsdb\`. */
      "
    `);
  });

  it('refuses tables whose names would clash', () => {
    const columns = { a: { type: 'string' } };
    expect(() =>
      generateDatabaseTypes({ name: 'db', tables: { aB: { columns }, a_B: { columns } } }),
    ).toThrow('tables aB and a_B would share the type AB');
  });
});
