import { join } from 'node:path';
import { tables } from '../frame/goals.table.ts';
import { measure as measureOvsdb } from './ovsdb.ts';
import type { BenchContext } from './pair.ts';
import { measureParts } from './parts.ts';
import type { Figure } from './parts.ts';
import { measure as measurePorts } from './ports.ts';

/** Names and units of goals.table.ts for those of the drivers. */
function inGoalWords(figure: Figure): Figure {
  const ovsdb = /^update, (1|100) outstanding$/.exec(figure.case);
  if (ovsdb !== null)
    return {
      case: `OVSDB, one client, ${ovsdb[1] ?? ''} outstanding`,
      unit: 'k/s',
      value: figure.value / 1000,
    };
  if (figure.case === '200 internal ports added by one ovs-vsctl')
    return { ...figure, case: '200 internal ports in one ovs-vsctl' };
  return figure;
}

/** performance goals §3: the database and what it configures. */
export async function database(context: BenchContext): Promise<void> {
  await measureParts(context, [
    {
      table: tables.control,
      cases: ['200 internal ports in one ovs-vsctl'],
      measure: async (target) => (await measurePorts({ env: target.env })).map(inGoalWords),
    },
    {
      table: tables.control,
      cases: ['OVSDB, one client, 1 outstanding', 'OVSDB, one client, 100 outstanding'],
      measure: async (target) => {
        const socket = join(target.rundir, 'db.sock');
        return (await measureOvsdb({ socket, pid: target.pid('ovsdb-server') })).map(inGoalWords);
      },
    },
  ]);
}
