/** Figures of `memory/show`: what of them is zero is left out, but for those that the stock server always has. */
import type { Changes } from './database.ts';
import type { OvsdbServer } from './server.ts';

/** In the order in which they are printed. */
export function memoryUsage(server: OvsdbServer): Record<string, number> {
  let [atoms, cells, weakRefs, history, historyAtoms] = [0, 0, 0, 0, 0];
  for (const name of server.databaseNames) {
    const database = server.database(name);
    if (database === undefined) continue;
    const usage = database.usage();
    atoms += usage.atoms;
    cells += usage.cells;
    weakRefs += usage.weakRefs;
    // That of other databases is our own, without a figure in the stock server.
    if (server.hosted(name)?.model !== 'relay') continue;
    const { entries } = database.history;
    history += entries.length;
    for (const changes of entries) historyAtoms += atomsOf(changes);
  }
  const sessions = [...server.sessions];
  const backlog = sessions.reduce((sum, session) => sum + session.backlogBytes, 0);
  // Monitors that follow the same columns are one, whatever their dialects and conditions.
  const monitors = new Set(sessions.flatMap((session) => session.monitoredContents()));
  const optional = (name: string, count: number): Record<string, number> =>
    count === 0 ? {} : { [name]: count };
  return {
    atoms,
    ...optional('backlog', backlog),
    cells,
    monitors: monitors.size,
    'n-weak-refs': weakRefs,
    ...optional('sessions', sessions.length),
    ...optional('triggers', server.waitingCount),
    ...optional('txn-history', history),
    ...optional('txn-history-atoms', historyAtoms),
  };
}

/** `_uuid` and `_version` count, too. */
function atomsOf(changes: Changes): number {
  let atoms = 0;
  for (const { old, new: row } of changes)
    for (const state of [old, row]) if (state !== undefined) atoms += state.atomCount + 2;
  return atoms;
}
