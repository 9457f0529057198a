import { vlogSetLogFile } from '../sys/vlog-sink.ts';

/** `--log-file[=FILE]` of a tool: one that cannot be opened, of which the log has told, is the end. */
export function openLogFile(path: string | null): void {
  if (vlogSetLogFile(path) !== null) process.exit(1);
}
