import { runTrace } from '../../ofproto/trace.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import type { Switchd } from '../switchd.ts';

/** ofproto/trace (ovs-vswitchd(8)). */
export function registerTraceCommands(commands: UnixctlCommands, switchd: Switchd): void {
  commands.registerCommand(
    'ofproto/trace',
    '{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]',
    1,
    Infinity,
    (args) => {
      const { core, clock, translator } = switchd;
      return runTrace(args, { core, clock, translator, snapshot: switchd.snapshots.get() });
    },
  );
}
