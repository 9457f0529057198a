import type { Json } from '../../../src/stream/index.ts';

export const database = 'Chaos';
/** Tables with the columns that all versions of the schema have. */
export const columnsOf: Readonly<Record<string, readonly string[]>> = {
  Writer: ['name', 'done', 'tags', 'numbers', 'last'],
  Circle: ['name', 'friends'],
  Entry: ['writer', 'serial', 'parts', 'next'],
  Part: ['name', 'sizes'],
  Ledger: ['writer', 'serial', 'note'],
};
export const tableNames = Object.keys(columnsOf);

/**
 * A schema with references, maps and sets: writers hold their latest entries, entries their parts. Version 2 has one column more.
 *
 * @param hasBounds Whether a set may be full. The stock 3.1 server refuses a difference of two full sets, which has more elements than
 * the set may have, when it reads it from its own file (and has lost what follows) or from the source of a relay.
 */
export function chaosSchema(version: 1 | 2, hasBounds: boolean): Json {
  const reference = (refTable: string, refType: 'strong' | 'weak'): Json => ({
    type: 'uuid',
    refTable,
    refType,
  });
  return {
    name: database,
    version: `${version}.0.0`,
    tables: {
      Writer: {
        isRoot: true,
        indexes: [['name']],
        columns: {
          name: { type: 'string' },
          done: { type: 'integer' },
          tags: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
          numbers: { type: { key: 'integer', min: 0, max: 'unlimited' } },
          last: { type: { key: reference('Entry', 'strong'), min: 0, max: hasBounds ? 5 : 'unlimited' } },
        },
      },
      Circle: {
        isRoot: true,
        columns: {
          name: { type: 'string' },
          friends: { type: { key: reference('Entry', 'weak'), min: 0, max: 'unlimited' } },
        },
      },
      Entry: {
        columns: {
          writer: { type: 'string' },
          serial: { type: 'integer' },
          parts: { type: { key: 'string', value: reference('Part', 'strong'), min: 0, max: 3 } },
          next: { type: { key: reference('Entry', 'weak'), min: 0, max: 1 } },
          ...(version === 2 ? { extra: { type: { key: 'string', min: 0, max: 1 } } } : {}),
        },
      },
      Part: {
        columns: {
          name: { type: 'string' },
          sizes: { type: { key: { type: 'real', minReal: 0 }, min: 1, max: 4 } },
        },
      },
      Ledger: {
        isRoot: true,
        columns: {
          writer: { type: 'string' },
          serial: { type: 'integer' },
          note: { type: { key: 'string', value: 'integer', min: 0, max: 'unlimited' } },
        },
      },
    },
  };
}
