/** wait for a state of a database, and lock, steal, unlock. */
import {
  JsonRpcConnection,
  OVSDB_PORT,
  StreamSession,
  SystemTimers,
  isJsonObject,
  parseTarget,
} from '../../stream/index.ts';
import type { Json, UnixctlCommands } from '../../stream/index.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { UsageError } from '../../util/errors.ts';
import { inBackground } from './background.ts';
import { printJson } from './command.ts';
import type { Command, LoneCommand, Run } from './command.ts';
import { defaultServer } from './target.ts';

const states = ['added', 'connected', 'removed'] as const;
type State = (typeof states)[number];

const wait: LoneCommand = {
  needs: 'nothing',
  minArgs: 2,
  maxArgs: 3,
  run: async (args) => {
    const [state = '', database = '', server = defaultServer()] = [...args].reverse();
    const wanted = states.find((s) => s === state);
    if (wanted === undefined) throw new UsageError(`${state}: unknown state`);
    await waitForState(server, database, wanted);
  },
};

/** Connects again and again until the server says that the database is in that state. */
async function waitForState(server: string, database: string, state: State): Promise<void> {
  const known = new Map<string, boolean>();
  let stop = (): void => undefined;
  await new Promise<void>((resolve) => {
    const take = (updates: Json | undefined): void => {
      applyUpdate(known, updates ?? null);
      if (isReached(known, state)) resolve();
    };
    const session = new StreamSession({
      name: server,
      target: parseTarget(server, OVSDB_PORT, ovsRundir()),
      timers: new SystemTimers(),
      onProbe: () => undefined,
      onDisconnect: () => undefined,
      onConnect: (stream) => {
        known.clear();
        const rpc = new JsonRpcConnection(stream);
        const handlers = rpc.attach({
          onClose: () => undefined,
          onMessage: (message) => {
            if (message.kind === 'request') rpc.reply(message.id, message.params);
            else if (message.kind === 'notification') take(message.params[1]);
            else if (message.kind === 'reply' && message.id === id) take(message.result);
          },
        });
        const columns = ['name', 'model', 'connected'];
        const where = [['name', '==', database]];
        rpc.request('set_db_change_aware', [true]);
        const id = rpc.request('monitor_cond', ['_Server', null, { Database: [{ columns, where }] }]);
        return handlers;
      },
    });
    stop = () => session.stop();
    session.start();
  });
  stop();
}

/** @param known Of each row of the database, whether it is connected to its cluster. */
function isReached(known: ReadonlyMap<string, boolean>, state: State): boolean {
  const [isConnected] = known.values();
  if (state === 'removed') return isConnected === undefined;
  return isConnected !== undefined && (state === 'added' || isConnected);
}

function applyUpdate(known: Map<string, boolean>, updates: Json): void {
  const rows = isJsonObject(updates) ? updates['Database'] : undefined;
  if (!isJsonObject(rows)) return;
  for (const [uuid, update] of Object.entries(rows)) {
    if (!isJsonObject(update)) continue;
    const row = update['initial'] ?? update['insert'] ?? update['modify'];
    if (!isJsonObject(row)) known.delete(uuid);
    else known.set(uuid, (row['connected'] ?? known.get(uuid)) === true);
  }
}

function lockCommand(method: 'lock' | 'steal' | 'unlock'): Command {
  return {
    needs: 'server',
    minArgs: 1,
    maxArgs: 1,
    run: async (run) => {
      const { connection, args } = run;
      connection.onNotification = (name, params) => {
        run.output.out(`${name}\n`);
        printJson(run, params);
      };
      await ask(run, method, args[0] ?? '');
      await inBackground(run, (commands) => register(run, commands));
    },
  };
}

async function ask(run: Run, method: string, lock: string): Promise<void> {
  printJson(run, await run.connection.call(method, [lock]));
}

function register(run: Run, commands: UnixctlCommands): void {
  for (const method of ['lock', 'steal', 'unlock']) {
    commands.registerCommand(method, '{lock}', 1, 1, async ([lock = '']) => {
      await ask(run, method, lock);
      return '';
    });
  }
}

export const waitCommands: Readonly<Record<string, Command | LoneCommand>> = {
  wait,
  lock: lockCommand('lock'),
  steal: lockCommand('steal'),
  unlock: lockCommand('unlock'),
};
