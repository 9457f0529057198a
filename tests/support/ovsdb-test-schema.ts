import type { Json } from '../../src/stream/index.ts';

/** A schema that has every kind of type and constraint. */
export const testSchema: Json = {
  name: 'Test',
  version: '1.2.3',
  tables: {
    root: {
      isRoot: true,
      maxRows: 4,
      indexes: [['name'], ['number', 'real']],
      columns: {
        name: { type: 'string' },
        number: { type: 'integer' },
        real: { type: 'real' },
        flag: { type: 'boolean' },
        anyid: { type: 'uuid' },
        fixed: { type: 'string', mutable: false },
        fleeting: { type: 'string', ephemeral: true },
        children: { type: { key: { type: 'uuid', refTable: 'child' }, min: 0, max: 'unlimited' } },
        friends: {
          type: { key: { type: 'uuid', refTable: 'child', refType: 'weak' }, min: 0, max: 'unlimited' },
        },
        favourite: { type: { key: { type: 'uuid', refTable: 'root', refType: 'weak' }, min: 0 } },
        kids: { type: { key: 'string', value: { type: 'uuid', refTable: 'child' }, min: 0, max: 3 } },
        ids: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
    child: {
      columns: {
        name: { type: { key: { type: 'string', minLength: 1, maxLength: 3 }, min: 0 } },
        level: { type: { key: { type: 'integer', minInteger: 0, maxInteger: 9 }, min: 0, max: 4 } },
        ratio: { type: { key: { type: 'real', minReal: -1.5 }, min: 0, max: 1 } },
        kind: { type: { key: { type: 'string', enum: ['set', ['a', 'b', 'c']] } } },
        some: { type: { key: 'integer', min: 1, max: 3 } },
        next: { type: { key: { type: 'uuid', refTable: 'child' }, min: 0, max: 2 } },
      },
    },
    must: {
      isRoot: true,
      columns: {
        target: { type: { key: { type: 'uuid', refTable: 'root', refType: 'weak' }, min: 1, max: 2 } },
      },
    },
  },
};
