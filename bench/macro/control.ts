import { tables } from '../frame/goals.table.ts';
import { measure } from './control-flows.ts';
import type { BenchContext } from './pair.ts';
import { measureParts } from './parts.ts';
import { addBridge } from './replay.ts';

/** performance goals §3: rules by the hundred thousand and by the million, through OpenFlow. */
export async function control(context: BenchContext): Promise<void> {
  await measureParts(context, [
    {
      table: tables.control,
      cases: [
        'add-flows with the stock ovs-ofctl, 100,000',
        'add-flows, the client does not wait, 100,000',
        'add-flows as one bundle, 100,000',
        'dump-flows with the stock ovs-ofctl, 100,000',
        'memory an OpenFlow rule',
      ],
      prepare: (target) => {
        target.vsctl(...addBridge(target));
      },
      measure: (target) => measure({ rundir: target.rundir, bridge: target.bridge }),
    },
  ]);
}
