import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import type { Daemon } from '../daemon.ts';

/** time/stop and time/warp: virtual time for tests, as in OVS with --enable-dummy. */
export function registerTimeCommands(commands: UnixctlCommands, daemon: Daemon): void {
  const { clock, switchd } = daemon;
  commands.registerCommand('time/stop', '', 0, 0, () => {
    clock.stop();
    switchd.threads.wakeAll();
    return '';
  });
  commands.registerCommand('time/warp', '[large_msecs] msecs', 1, 2, async (args) => {
    const total = Number.parseInt(args[0] ?? '', 10);
    const step = args[1] === undefined ? total : Number.parseInt(args[1], 10);
    if (!(total > 0) || !(step > 0)) throw new OvsError('EINVAL', 'invalid MSECS');
    clock.stop();
    for (let left = total; left > 0; left -= step) {
      clock.warp(Math.min(step, left));
      switchd.threads.wakeAll();
      switchd.udpif.wake();
      daemon.wake();
      // Two turns: one lets main act on the new time, the next sees what that caused.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    return 'warped\n';
  });
}
