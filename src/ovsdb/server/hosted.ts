/**
 * A database that a server hosts, by its name: contents, where they are kept, where they come from.
 *
 * `database` is replaced as a whole when its schema changes, and absent while a relay has not yet heard
 * the schema from its source. Life cycle: `OvsdbServer.host` ... `OvsdbServer.removeDatabase`.
 */
import type { Json } from '../../stream/index.ts';
import { formatJson } from '../../stream/index.ts';
import { schemaToJson } from '../schema.ts';
import type { Database } from './database.ts';
import type { OpenDatabase } from './storage.ts';

/** Who runs the transactions of a database that is a copy. */
export interface Forwarder {
  /**
   * Hands a request on, and its reply to `onReply`: a result, or an error for the client.
   *
   * @returns a function that forgets the reply
   */
  forward(
    method: 'transact' | 'convert',
    params: readonly Json[],
    onReply: (result: Json | null, error: Json | null) => void,
  ): () => void;
  close(): void;
}

export interface Hosted {
  readonly name: string;
  readonly model: 'standalone' | 'relay';
  /** How the command line names it; null for what is built in. */
  source: string | null;
  database: Database | null;
  /** Absent for databases in memory. */
  readonly storage: OpenDatabase | undefined;
  readonly forwarder: Forwarder | undefined;
  /** Whether a relay's copy is being kept up to date. */
  isConnected: boolean;
  /** Whether it is a backup by itself, so that only its active server changes it. */
  isBackup: boolean;
  compactAfterMs: number;
}

/** The row of `_Server`'s table Database that tells of it. */
export function serverRow({ name, model, database, isConnected }: Hosted): Json {
  return {
    name,
    model,
    connected: isConnected,
    leader: model === 'standalone',
    schema: database === null ? ['set', []] : formatJson(schemaToJson(database.schema), true),
  };
}

const changing = new Set<Json>(['insert', 'update', 'mutate', 'delete']);

/** Whether a transaction would change its database, so that only the source of a copy can run it. */
export function wouldChange(operations: readonly Json[]): boolean {
  return operations.some(
    (operation) =>
      typeof operation === 'object' &&
      operation !== null &&
      'op' in operation &&
      changing.has(operation['op'] ?? null),
  );
}
