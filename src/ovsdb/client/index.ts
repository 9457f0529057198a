/** The database client (see `Idl`). */
export { Idl } from './idl.ts';
export type { IdlChange, IdlOptions } from './idl.ts';
export { IdlRow } from './row.ts';
export { IdlTransaction } from './transaction.ts';
export type { CommitStatus, Mutator } from './transaction.ts';
export type { InputValue, Value } from './value.ts';
