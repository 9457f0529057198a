import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { registerDaemonCommands } from '../../stream/daemon-commands.ts';
import type { Daemon } from '../daemon.ts';
import { collectCoverage } from './coverage.ts';
import { registerBridgeCommands } from './bridge-commands.ts';
import { registerDpctlCommands } from './dpctl.ts';
import { registerDummyCommands } from './dummy-commands.ts';
import { memoryUsage } from './memory.ts';
import { registerPmdCommands } from './pmd-commands.ts';
import { registerSupervisorCommands } from './supervisor.ts';
import { registerTimeCommands } from './time-commands.ts';
import { registerTraceCommands } from './trace-command.ts';
import { registerUpcallCommands } from './upcall-commands.ts';
import { vlogModules } from '../../util/log.ts';

/** Registers every control command of ovs-vswitchd (ovs-vswitchd(8), ovs-appctl(8)). */
export function registerCommands(commands: UnixctlCommands, daemon: Daemon, dummyEnabled: boolean): void {
  const { switchd } = daemon;
  registerDaemonCommands(
    commands,
    () => memoryUsage(switchd),
    () => collectCoverage(switchd),
    () => {
      for (const { name, levels } of vlogModules().values()) {
        for (const t of switchd.threads.threads) {
          t.request('log-levels', { module: name, levels: { ...levels } }).catch(() => undefined);
        }
      }
    },
  );
  commands.registerCommand('exit', '[--cleanup]', 0, 1, () => {
    void daemon.exit();
    return '';
  });
  registerBridgeCommands(commands, switchd);
  registerDpctlCommands(commands, switchd);
  registerPmdCommands(commands, switchd);
  registerUpcallCommands(commands, daemon);
  registerTraceCommands(commands, switchd);
  registerSupervisorCommands(commands, switchd);
  if (dummyEnabled) {
    registerDummyCommands(commands, daemon);
    registerTimeCommands(commands, daemon);
  }
}
