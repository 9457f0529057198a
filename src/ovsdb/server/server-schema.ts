/**
 * Schema of the built-in database `_Server` (ovsdb-server(5)), by which clients learn which databases
 * a server has.
 */
import type { Json } from '../../stream/index.ts';

export const serverSchema: Json = {
  name: '_Server',
  version: '1.2.0',
  cksum: '3009684573 744',
  tables: {
    Database: {
      columns: {
        name: { type: 'string' },
        model: { type: { key: { type: 'string', enum: ['set', ['clustered', 'relay', 'standalone']] } } },
        connected: { type: 'boolean' },
        leader: { type: 'boolean' },
        schema: { type: { key: 'string', min: 0 } },
        cid: { type: { key: 'uuid', min: 0 } },
        sid: { type: { key: 'uuid', min: 0 } },
        index: { type: { key: 'integer', min: 0 } },
      },
    },
  },
};
