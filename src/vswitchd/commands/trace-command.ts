import { runTrace, runTracePacketOut, type TraceContext } from '../../ofproto/trace.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import type { Switchd } from '../switchd.ts';

/** ofproto/trace and ofproto/trace-packet-out (ovs-vswitchd(8)). */
export function registerTraceCommands(commands: UnixctlCommands, switchd: Switchd): void {
  const context = (): TraceContext => {
    const { core, clock, translator, snapshots } = switchd;
    return { core, clock, translator, snapshot: snapshots.get() };
  };
  commands.registerCommand(
    'ofproto/trace',
    '{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]',
    1,
    Infinity,
    (args) => runTrace(args, context()),
  );
  commands.registerCommand(
    'ofproto/trace-packet-out',
    '[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions',
    2,
    Infinity,
    (args) => runTracePacketOut(args, context()),
  );
}
