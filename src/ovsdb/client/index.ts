/** The database client: `connectOvsdb` with the types of a schema, `Idl` below it. Exported as `megaflow/ovsdb`. */
export { Idl } from './idl.ts';
export type { IdlOptions } from './idl.ts';
export type { LinkOptions } from './link.ts';
export type { MonitorCondition, MonitorTables, MonitorTablesOf } from './monitor-plan.ts';
export type { IdlChange } from './replica.ts';
export { IdlRow } from './row.ts';
export type { ServerStatus } from './server-status.ts';
export { IdlTransaction } from './transaction.ts';
export type { CommitStatus, Mutator } from './transaction.ts';
export type { InputValue, Value } from './value.ts';

export { OvsdbClient, TypedTable, connectOvsdb } from './typed-client.ts';
export type { ConnectOptions, TypedChange, TypedTables } from './typed-client.ts';
export { Committed, TypedTransaction } from './typed-transaction.ts';
export { describeDatabase } from './describe.ts';
export type {
  DatabaseDescription,
  DatabaseShape,
  MapInput,
  Reference,
  RowHandle,
  TableShape,
  TypedRow,
} from './describe.ts';
export { generateDatabaseTypes } from './generate-types.ts';
export type { GenerateOptions } from './generate-types.ts';

export { OvsdbError } from '../errors.ts';
export { schemaFromJson, schemaToJson } from '../schema.ts';
export type { ColumnSchema, DatabaseSchema, TableSchema } from '../schema.ts';
export type { Atom } from '../data/atom.ts';
export type { Datum } from '../data/datum.ts';
export { formatJson, parseJson } from '../../stream/json.ts';
export type { Json } from '../../stream/json.ts';
