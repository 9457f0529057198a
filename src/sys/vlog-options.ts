import type { ParsedOption } from './getopt.ts';
import { vlogSetLogFile, vlogSetSyslogMethod, vlogSetSyslogTarget, vlogSetVerbosity } from './vlog-sink.ts';

/**
 * Applies one of the logging options that every tool has: `-v`, `--log-file`, `--syslog-method`, `--syslog-target`.
 * Daemons treat their log file otherwise (daemon.ts).
 *
 * @returns false if it is another option
 * @throws UsageError
 */
export function applyVlogOption({ name, value }: ParsedOption): boolean {
  if (name === 'verbose') vlogSetVerbosity(value);
  else if (name === 'log-file') {
    // The log has told why it cannot be opened.
    if (vlogSetLogFile(value) !== null) process.exit(1);
  } else if (name === 'syslog-method') vlogSetSyslogMethod(value ?? '');
  else if (name === 'syslog-target') vlogSetSyslogTarget(value ?? '');
  else return false;
  return true;
}
