/**
 * What commands have changed since the server started, kept for the server that `--monitor` starts after a
 * crash. The file belongs to one monitor process, which its name says; it is removed when the server ends in order.
 */
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseJson, formatJson, isJsonArray, isJsonObject } from '../../stream/index.ts';
import type { Json } from '../../stream/index.ts';
import { vlog } from '../../util/log.ts';

const log = vlog('ovsdb_server');

export interface ServerConfig {
  /** Database files, and `relay:DB:REMOTES`. */
  readonly files: readonly string[];
  readonly remotes: readonly string[];
  readonly sync: { readonly from: string | null; readonly excludeTables: string; readonly isBackup: boolean };
}

const namePattern = /^\.ovsdb-server\.(\d+)\.(\d+)\.config$/;

/** Start of a process in clock ticks since boot; empty if there is none. */
function startTimeOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/**
 * The file of the monitor that started this process: its pid and start time name it. Files of monitors that are gone,
 * as a signal that ends monitor and server leaves them, are removed.
 *
 * @param dir Where it is.
 */
export function savedConfigPath(dir: string): string {
  for (const name of readdirSync(dir)) {
    const [, pid, startTime] = namePattern.exec(name) ?? [];
    if (pid !== undefined && startTimeOf(Number(pid)) !== startTime) removeConfig(join(dir, name));
  }
  return join(dir, `.ovsdb-server.${process.ppid}.${startTimeOf(process.ppid)}.config`);
}

export function saveConfig(path: string, config: ServerConfig): void {
  try {
    writeFileSync(`${path}.tmp`, formatJson(config as unknown as Json), { mode: 0o600 });
    renameSync(`${path}.tmp`, path);
  } catch (error) {
    log.err(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Null if nothing was saved. */
export function loadConfig(path: string): ServerConfig | null {
  let json: Json;
  try {
    json = parseJson(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
  if (!isJsonObject(json) || !isJsonObject(json['sync'])) return null;
  const { from, excludeTables, isBackup } = json['sync'];
  return {
    files: texts(json['files']),
    remotes: texts(json['remotes']),
    sync: {
      from: typeof from === 'string' ? from : null,
      excludeTables: typeof excludeTables === 'string' ? excludeTables : '',
      isBackup: isBackup === true,
    },
  };
}

export function removeConfig(path: string): void {
  rmSync(path, { force: true });
}

function texts(json: Json | undefined): string[] {
  return isJsonArray(json) ? json.filter((item) => typeof item === 'string') : [];
}
