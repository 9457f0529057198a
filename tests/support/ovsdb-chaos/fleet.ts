import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { schemaFromJson } from '../../../src/ovsdb/schema.ts';
import { createDatabase } from '../../../src/ovsdb/server/storage.ts';
import { formatJson } from '../../../src/stream/index.ts';
import { waitFor } from '../daemons.ts';
import type { Dice } from '../ovsdb-schemas.ts';
import { run } from '../ovsdb-services.ts';
import type { Kind } from '../ovsdb-services.ts';
import { chaosSchema, database } from './schema.ts';
import { ChaosServer } from './server.ts';

const ourClient = fileURLToPath(new URL('../../../bin/ovsdb-client', import.meta.url));
/** Longest wait for what must happen; it only ends a run that has failed. */
const limitMs = 60_000;

/**
 * The servers: two with files, of which one is active and the other its backup, a relay of the active one and a relay of
 * the relay. `active.sock` is a symbolic link to the socket of whichever is active.
 */
export class Fleet {
  readonly files: readonly [ChaosServer, ChaosServer];
  readonly relays: readonly [ChaosServer, ChaosServer];
  readonly activeSocket: string;
  readonly #dir: string;
  #activeIndex: 0 | 1 = 0;
  /** Whether the backup follows the active server. */
  #isAttached = true;
  #version: 1 | 2 = 1;

  constructor(dir: string, kinds: readonly [Kind, Kind, Kind, Kind]) {
    this.#dir = dir;
    this.activeSocket = join(dir, 'active.sock');
    const hasBounds = !kinds.includes('stock');
    const withFile = (name: string, kind: Kind): ChaosServer => {
      const server: ChaosServer = new ChaosServer(dir, name, kind, false, () => [
        ...(server === this.active ? [] : [`--sync-from=unix:${this.active.socket}`]),
        ...(server === this.active || this.#isAttached ? [] : ['--active']),
        join(server.dir, 'db'),
      ]);
      createDatabase(join(server.dir, 'db'), schemaFromJson(chaosSchema(1, hasBounds)));
      return server;
    };
    this.files = [withFile('first', kinds[0]), withFile('second', kinds[1])];
    const near = new ChaosServer(dir, 'relay', kinds[2], true, () => [
      `relay:${database}:unix:${this.activeSocket}`,
    ]);
    const far = new ChaosServer(dir, 'far-relay', kinds[3], true, () => [
      `relay:${database}:unix:${near.socket}`,
    ]);
    this.relays = [near, far];
    for (const version of [1, 2] as const)
      writeFileSync(join(dir, `schema${version}`), formatJson(chaosSchema(version, hasBounds)));
    this.#linkActive();
  }

  get active(): ChaosServer {
    return this.files[this.#activeIndex];
  }
  get backup(): ChaosServer {
    return this.files[this.#activeIndex === 0 ? 1 : 0];
  }
  get all(): readonly ChaosServer[] {
    return [...this.files, ...this.relays];
  }

  /** Names where clients may write: the active server and the relays. */
  get writableSockets(): readonly string[] {
    return [this.activeSocket, ...this.relays.map((relay) => relay.socket)];
  }

  #linkActive(): void {
    const link = `${this.activeSocket}.new`;
    symlinkSync(this.active.socket, link);
    renameSync(link, this.activeSocket);
  }

  async start(): Promise<void> {
    for (const server of this.all) await server.start();
    await this.whenEqual();
  }
  async end(): Promise<void> {
    for (const server of this.all) {
      if (server.isPaused) server.resume();
      await server.kill().catch(() => undefined);
    }
  }

  /** Until all servers have the same rows. */
  async whenEqual(): Promise<void> {
    const texts = new Map<string, string>();
    await waitFor(
      async () => {
        for (const server of this.all) texts.set(server.name, await server.contents());
        return new Set(texts.values()).size === 1;
      },
      'all servers have the same contents',
      limitMs,
    ).catch((error: unknown) => {
      throw new Error(
        [...this.all]
          .map((s) => `${s.kind} ${s.name}: ${differing(texts.get(s.name) ?? '', texts)}\n${s.logTail()}`)
          .join('\n'),
        { cause: error },
      );
    });
    await this.#whenReplicating();
  }

  async #whenReplicating(): Promise<void> {
    await waitFor(
      async () => (await this.backup.ask('ovsdb-server/sync-status')).includes('replicating'),
      'the backup replicates',
      limitMs,
    ).catch((error: unknown) => {
      throw new Error(`${this.backup.kind} ${this.backup.name}\n${this.backup.logTail()}`, { cause: error });
    });
  }

  async restart(server: ChaosServer): Promise<void> {
    await server.kill();
    await server.start();
  }

  async detachBackup(): Promise<void> {
    this.#isAttached = false;
    await this.backup.ask('ovsdb-server/disconnect-active-ovsdb-server');
  }
  async attachBackup(): Promise<void> {
    this.#isAttached = true;
    await this.backup.ask('ovsdb-server/set-active-ovsdb-server', `unix:${this.active.socket}`);
    await this.backup.ask('ovsdb-server/connect-active-ovsdb-server');
  }

  /** Active and backup change places. Nobody may write meanwhile. */
  async swap(): Promise<void> {
    await this.whenEqual();
    const [before, after] = [this.active, this.backup];
    await before.ask('ovsdb-server/set-active-ovsdb-server', `unix:${after.socket}`);
    await before.ask('ovsdb-server/connect-active-ovsdb-server');
    await after.ask('ovsdb-server/disconnect-active-ovsdb-server');
    this.#activeIndex = this.#activeIndex === 0 ? 1 : 0;
    this.#linkActive();
    // Who was connected to the one comes back to the other.
    await before.ask('ovsdb-server/reconnect');
    await this.#whenReplicating();
  }

  /**
   * Whether all follow when the schema changes. A stock relay of a stock server may stay with the old schema for ever: it connects, refuses
   * the new column and connects again, without a pause (seen with stock servers only).
   */
  get canConvert(): boolean {
    const [near, far] = this.relays;
    const isStock = (server: ChaosServer): boolean => server.kind === 'stock';
    return !(isStock(near) && (this.files.some(isStock) || isStock(far)));
  }

  /** The other schema, with one column more or less, for the database and its backup. */
  async convert(dice: Dice): Promise<void> {
    this.#version = this.#version === 1 ? 2 : 1;
    await this.detachBackup();
    const schema = join(this.#dir, `schema${this.#version}`);
    for (const { socket } of [this.active, this.backup]) {
      const tool = dice.pick([ourClient, 'ovsdb-client']);
      const { status, stderr } = await run(tool, ['convert', `unix:${socket}`, schema]);
      if (status !== 0) throw new Error(`${tool} convert: ${stderr}`);
    }
    await this.attachBackup();
  }

  /** The relay forgets its database and takes it up again. */
  async readdRelay(relay: ChaosServer): Promise<void> {
    const source = relay === this.relays[0] ? this.activeSocket : this.relays[0].socket;
    await relay.ask('ovsdb-server/remove-db', database);
    await relay.ask('ovsdb-server/add-db', `relay:${database}:unix:${source}`);
  }
}

/** The rows of one that not all have. */
function differing(text: string, texts: ReadonlyMap<string, string>): string {
  const rows = (of: string): string[] => of.split('},{');
  const others = [...texts.values()].map((of) => new Set(rows(of)));
  return rows(text)
    .filter((row) => others.some((other) => !other.has(row)))
    .map((row) => row.slice(0, 200))
    .slice(0, 5)
    .join('\n  ');
}
