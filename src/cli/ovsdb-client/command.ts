/** What commands of ovsdb-client get and give. */
import type { Json } from '../../stream/index.ts';
import { formatJson, formatJsonPretty } from '../../stream/json.ts';
import type { DaemonOptions } from '../../sys/daemon.ts';
import { schemaFromJson } from '../../ovsdb/schema.ts';
import type { DatabaseSchema } from '../../ovsdb/schema.ts';
import type { Output } from '../output.ts';
import type { TableStyle } from '../table.ts';
import type { Connection } from './connection.ts';

/** Options that are not about output, the daemon or TLS. */
export interface ClientSettings {
  readonly isForced: boolean;
  readonly hasTimestamps: boolean;
  readonly isLeaderOnly: boolean;
  readonly isDbChangeAware: boolean;
}

export interface Run {
  readonly connection: Connection;
  /** The database chosen; empty for commands that need none. */
  readonly database: string;
  /** Arguments after server and database. */
  readonly args: readonly string[];
  readonly style: TableStyle;
  readonly output: Output;
  readonly settings: ClientSettings;
  readonly daemon: DaemonOptions;
}

/** A command that makes its connections itself. */
export interface LoneCommand {
  readonly needs: 'nothing';
  readonly minArgs: number;
  readonly maxArgs: number;
  run(args: readonly string[]): Promise<void>;
}

export interface Command {
  /** What its arguments may begin with: a server, or a server and a database. */
  readonly needs: 'server' | 'database';
  /** Arguments after server and database. */
  readonly minArgs: number;
  readonly maxArgs: number;
  /** The database that its own arguments name. */
  readonly databaseIn?: (args: readonly string[]) => string;
  run(run: Run): Promise<void>;
}

export function printJson(run: Run, value: Json): void {
  run.output.out(`${run.style.isPretty ? formatJsonPretty(value) : formatJson(value, true)}\n`);
}

/** @throws OvsdbError if the server's schema makes no sense */
export async function fetchSchema(run: Run): Promise<DatabaseSchema> {
  return schemaFromJson(await run.connection.call('get_schema', [run.database]));
}
