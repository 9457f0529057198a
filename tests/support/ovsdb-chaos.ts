import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../src/ovsdb/server/storage.ts';
import type { Json } from '../../src/stream/index.ts';
import { SystemClock } from '../../src/util/clock.ts';
import { waitFor } from './daemons.ts';
import { Fleet } from './ovsdb-chaos/fleet.ts';
import { Follower, dialects } from './ovsdb-chaos/follower.ts';
import type { Pace } from './ovsdb-chaos/follower.ts';
import { Gate } from './ovsdb-chaos/gate.ts';
import { IdlClient } from './ovsdb-chaos/idl-client.ts';
import { Ledger } from './ovsdb-chaos/ledger.ts';
import { RawClient } from './ovsdb-chaos/raw-client.ts';
import { columnsOf, database } from './ovsdb-chaos/schema.ts';
import { StockCrashed } from './ovsdb-chaos/server.ts';
import type { ChaosServer } from './ovsdb-chaos/server.ts';
import { WireReplica } from './ovsdb-chaos/wire-replica.ts';
import { Writer } from './ovsdb-chaos/writer.ts';
import { Dice } from './ovsdb-schemas.ts';
import { kinds } from './ovsdb-services.ts';
import type { Kind } from './ovsdb-services.ts';

const clock = new SystemClock();
/** Longest wait for what must happen; it only ends a run that has failed. */
const limitMs = 60_000;
/** A database of some hundred rows; node itself takes 60 MB. */
const maxResidentBytes = 300 * 2 ** 20;

class RunPace implements Pace {
  readonly #endMs: number;
  #isStopped = false;
  constructor(seconds: number) {
    this.#endMs = clock.nowMs() + seconds * 1000;
  }
  isOver(): boolean {
    return this.#isStopped || clock.nowMs() >= this.#endMs;
  }
  stop(): void {
    this.#isStopped = true;
  }
  async pass(ms: number): Promise<void> {
    const untilMs = Math.min(clock.nowMs() + ms, this.#endMs);
    await waitFor(() => this.#isStopped || clock.nowMs() >= untilMs, 'time passes', Infinity);
  }
}

export interface ChaosResult {
  /** Kinds of first, second, relay, relay of the relay. */
  readonly kinds: readonly Kind[];
  readonly done: number;
  readonly failed: number;
  readonly unknown: number;
  /** What happened to servers, by name of the event. */
  readonly events: Readonly<Record<string, number>>;
  /** Followers that took up their place again, and that got all contents. */
  readonly resumed: number;
  readonly restarted: number;
  /** Connections that the IDLs made. */
  readonly connections: number;
  readonly maxResidentBytes: number;
}

/**
 * An active server, its backup, a relay and a relay of the relay, with clients that write and follow, while servers are killed, stopped,
 * converted and change places. Afterwards all must have the same rows, and each promise must be kept.
 */
class Chaos {
  readonly #dice: Dice;
  readonly #pace: RunPace;
  readonly #gate = new Gate();
  readonly #ledger = new Ledger();
  readonly #fleet: Fleet;
  readonly #writers: Writer[];
  readonly #followers: Follower[];
  readonly #idls: IdlClient[];
  readonly #events: Record<string, number> = {};
  readonly #log: (text: string) => void;

  constructor(
    seed: number,
    seconds: number,
    dir: string,
    log: (text: string) => void,
    only?: readonly Kind[],
  ) {
    this.#log = log;
    this.#pace = new RunPace(seconds);
    const dice = new Dice(seed);
    this.#dice = dice;
    const own = (): Dice => new Dice(1 + dice.below(0x7ffffffe));
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => only?.[i] ?? dice.pick(kinds));
    this.#fleet = new Fleet(dir, [a ?? 'ours', b ?? 'ours', c ?? 'ours', d ?? 'ours']);
    const world = { pace: this.#pace, gate: this.#gate, ledger: this.#ledger };
    const sockets = this.#fleet.writableSockets;
    const isGentle = this.#fleet.files.some(({ kind }) => kind === 'stock');
    this.#writers = Array.from({ length: 5 }, (_, i) => new Writer(`w${i}`, sockets, own(), world, isGentle));
    this.#followers = this.#fleet.all.flatMap(({ socket, kind }) =>
      [...dialects, 'monitor_cond_since' as const].map(
        (dialect) => new Follower(socket, dialect, own(), this.#pace, kind === 'stock'),
      ),
    );
    this.#idls = [false, false, true, true].map(
      (isTyped, i) => new IdlClient(`idl${i}`, isTyped, sockets, own(), world),
    );
  }

  get kinds(): readonly Kind[] {
    return this.#fleet.all.map(({ kind }) => kind);
  }

  async run(): Promise<ChaosResult> {
    try {
      await this.#fleet.start();
      await this.#createRows();
      const running = [...this.#writers, ...this.#idls, ...this.#followers].map(
        async (one) => await one.run(),
      );
      // What goes wrong with one of them ends the run at once.
      const failed = Promise.all(running).catch((error: unknown) => {
        this.#pace.stop();
        throw error;
      });
      failed.catch(() => undefined);
      while (!this.#pace.isOver()) {
        await this.#pace.pass(100 + this.#dice.below(1200));
        if (!this.#pace.isOver()) await this.#event(this.#fleet.all);
        for (const server of this.#fleet.all) server.checkAlive();
        const fault = this.#followers.find((follower) => follower.fault !== null)?.fault;
        if (fault != null) throw fault;
      }
      await this.#allEnd(failed);
      await this.#fleet.whenEqual();
      return await this.#judge();
    } finally {
      this.#pace.stop();
      for (const one of [...this.#followers, ...this.#idls]) one.close();
      await this.#fleet.end();
    }
  }

  async #createRows(): Promise<void> {
    const client = await RawClient.connect(this.#fleet.activeSocket);
    const rows = [...this.#writers, ...this.#idls].map(({ name }): Json => ({
      op: 'insert',
      table: 'Writer',
      row: { name },
    }));
    await client?.call('transact', [database, ...rows]);
    client?.destroy();
  }

  async #allEnd(running: Promise<unknown>): Promise<void> {
    const state = { isDone: false };
    const ended = running.then(() => {
      state.isDone = true;
    });
    await Promise.race([ended, waitFor(() => state.isDone, 'all clients end', limitMs)]).catch(
      (error: unknown) => {
        const stuck = [
          ...this.#writers.filter((w) => w.waitsFor !== '').map((w) => `${w.name} at ${w.waitsFor}`),
          ...this.#idls.map((idl) => idl.state),
        ];
        throw new Error(stuck.join('\n'), { cause: error });
      },
    );
  }

  /** Something happens to one of the servers. */
  async #event(servers: readonly ChaosServer[]): Promise<void> {
    const dice = this.#dice;
    const fleet = this.#fleet;
    const isFree = (...wanted: readonly ChaosServer[]): boolean =>
      wanted.every((one) => servers.includes(one));
    const kind = dice.below(100);
    const server = dice.pick(servers);
    const during = async (what: string, act: () => Promise<void>): Promise<void> => {
      this.#log(what);
      const [name = ''] = what.split(' ');
      this.#events[name] = (this.#events[name] ?? 0) + 1;
      await act();
    };
    if (kind < 35) await during(`kill ${server.name}`, async () => await fleet.restart(server));
    else if (kind < 55) {
      const others = servers.filter((one) => one !== server);
      await during(`stop ${server.name}`, async () => {
        server.pause();
        await this.#pace.pass(dice.below(2500));
        if (others.length > 0 && dice.chance(50)) await this.#event(others);
        server.resume();
      });
    } else if (kind < 65) {
      const withFile = servers.filter(({ isRelay }) => !isRelay);
      if (withFile.length > 0)
        await during('compact', async () => {
          await dice.pick(withFile).ask('ovsdb-server/compact');
        });
    } else if (kind < 72)
      await during(`reconnect ${server.name}`, async () => {
        await server.ask('ovsdb-server/reconnect');
      });
    else if (kind < 80) {
      if (isFree(fleet.active, fleet.backup))
        await during('detach', async () => {
          await fleet.detachBackup();
          await this.#pace.pass(dice.below(1000));
          await fleet.attachBackup();
        });
    } else if (kind < 88) {
      const relay = dice.pick(fleet.relays);
      if (isFree(relay)) await during(`readd ${relay.name}`, async () => await fleet.readdRelay(relay));
    } else if (kind < 94) {
      if (isFree(...fleet.all))
        await during('swap', async () => await this.#gate.alone(async () => await fleet.swap()));
    } else if (isFree(fleet.active, fleet.backup) && fleet.canConvert)
      await during('convert', async () => await fleet.convert(dice));
  }

  async #judge(): Promise<ChaosResult> {
    const faults: string[] = [];
    faults.push(...(await this.#readLedger()));
    faults.push(...this.#ledger.faults());
    const active = this.#fleet.active;
    const texts = await this.#differences();
    faults.push(...texts);
    const resident = this.#fleet.all.filter(({ kind }) => kind === 'ours').map((s) => s.residentBytes);
    const most = Math.max(0, ...resident);
    if (most > maxResidentBytes) faults.push(`${most} bytes resident`);
    const wanted = await active.contents();
    for (const server of this.#fleet.files) await server.kill();
    for (const server of this.#fleet.files) {
      // Another start of the same file, by the other kind of reader if it is the stock server's.
      const storage = openDatabase(join(server.dir, 'db'), { isReadOnly: true });
      storage.close();
      await server.start();
    }
    await this.#fleet.whenEqual();
    if ((await active.contents()) !== wanted) faults.push('contents changed with a restart');
    if (faults.length > 0) throw new Error(faults.slice(0, 40).join('\n'));
    return {
      kinds: this.kinds,
      done: this.#ledger.count('done'),
      failed: this.#ledger.count('failed'),
      unknown: this.#ledger.count('unknown'),
      events: this.#events,
      resumed: this.#followers.reduce((sum, { resumed }) => sum + resumed, 0),
      restarted: this.#followers.reduce((sum, { restarted }) => sum + restarted, 0),
      connections: this.#idls.reduce((sum, { connections }) => sum + connections, 0),
      maxResidentBytes: most,
    };
  }

  /** Notes all that is in the Ledger. @returns writers whose count is not that of their transactions */
  async #readLedger(): Promise<string[]> {
    const faults: string[] = [];
    const client = await RawClient.connect(this.#fleet.activeSocket);
    if (client === null) throw new Error('the active server is gone');
    const storage = await client.call('transact', [
      database,
      { op: 'select', table: 'Writer', where: [], columns: ['name', 'done'] },
    ]);
    const [{ rows }] = storage?.['result'] as unknown as [{ rows: { name: string; done: number }[] }];
    for (const { name, done } of rows) {
      await Writer.read(client, name, this.#ledger);
      if (name.startsWith('w') && this.#ledger.seenOf(name) !== done)
        faults.push(`${name}: count ${done}, ${this.#ledger.seenOf(name)} transactions`);
    }
    client.destroy();
    return faults;
  }

  /** Waits for followers to have what their servers have. @returns those that never do */
  async #differences(): Promise<string[]> {
    const faults: string[] = [];
    for (const follower of this.#followers) {
      const found = { known: '', wanted: '' };
      const agrees = async (): Promise<boolean> => {
        const difference = await follower.compare();
        Object.assign(found, difference ?? {});
        return difference === null;
      };
      try {
        await waitFor(agrees, 'a follower is up to date', 15_000);
      } catch {
        if (follower.fault !== null) throw follower.fault;
        faults.push(
          `${follower.dialect} at ${follower.socket}:\n${lineDifferences(found.known, found.wanted)}`,
        );
      }
    }
    const wanted = await selectedText(this.#fleet.activeSocket);
    for (const idl of this.#idls) {
      try {
        await waitFor(() => idl.text() === wanted, 'an IDL is up to date', 15_000);
      } catch {
        faults.push(`${idl.state}:\n${lineDifferences(idl.text(), wanted)}`);
      }
    }
    return faults;
  }
}

/** All rows of a server, as `WireReplica.text`. */
async function selectedText(socket: string): Promise<string> {
  const client = await RawClient.connect(socket);
  const reply = await client?.call('transact', [
    database,
    ...Object.entries(columnsOf).map(([table, columns]) => ({
      op: 'select',
      table,
      where: [],
      columns: ['_uuid', ...columns],
    })),
  ]);
  client?.destroy();
  const results = reply?.['result'] as unknown as readonly { rows: readonly Json[] }[] | undefined;
  return WireReplica.textOfRows(
    Object.fromEntries(Object.keys(columnsOf).map((table, i) => [table, results?.[i]?.rows ?? []])),
  );
}

function lineDifferences(known: string, wanted: string): string {
  const [have, want] = [new Set(known.split('\n')), new Set(wanted.split('\n'))];
  const extra = [...have].filter((line) => !want.has(line)).map((line) => `  has   ${line}`);
  const lacking = [...want].filter((line) => !have.has(line)).map((line) => `  lacks ${line}`);
  return [...extra.slice(0, 5), ...lacking.slice(0, 5)].join('\n');
}

/**
 * Runs for `seconds` and judges what is left.
 *
 * @param only Kinds of the servers; the rest by the dice.
 * @returns null if a stock server crashed (seen with stock servers alone, too), after which nothing can be said
 * @throws Error that tells what was lost, came twice or differs
 */
export async function runChaos(
  seed: number,
  seconds: number,
  log: (text: string) => void = () => undefined,
  only?: readonly Kind[],
): Promise<ChaosResult | null> {
  const dir = mkdtempSync(join(tmpdir(), 'ovsdb-chaos-'));
  const chaos = new Chaos(seed, seconds, dir, log, only);
  try {
    const result = await chaos.run();
    rmSync(dir, { recursive: true });
    return result;
  } catch (error) {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (!(cause instanceof StockCrashed)) continue;
      log(cause.message);
      return null;
    }
    throw new Error(`seed ${seed}, ${chaos.kinds.join(' ')}, logs in ${dir}`, { cause: error });
  }
}
