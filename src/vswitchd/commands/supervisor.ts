import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import type { Switchd } from '../switchd.ts';

/**
 * supervisor/*: ours. `show` lists the worker threads; `kill` ends one wherever it stands, so that the
 * take-over of its ports can be tried on a running switch.
 */
export function registerSupervisorCommands(commands: UnixctlCommands, switchd: Switchd): void {
  commands.registerCommand('supervisor/show', '', 0, 0, () => {
    const rows = [...switchd.threads.threads].map((t) => ({ name: t.name, kind: t.kind, alive: t.alive }));
    return { text: rows.map((r) => `${r.name} ${r.kind}\n`).join(''), json: rows };
  });
  commands.registerCommand('supervisor/kill', 'thread', 1, 1, async ([name = '']) => {
    const thread = [...switchd.threads.threads].find((t) => t.name === name);
    if (thread === undefined) throw new OvsError('ESRCH', `no thread ${name} (see supervisor/show)`);
    await thread.kill();
    return '';
  });
}
