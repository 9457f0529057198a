/**
 * Memory of a database of 100,000 rows beyond the size of its JSON:
 * `node --expose-gc --import tsx bench/macro/ovsdb-memory.ts [ROWS]` after `npm run build`.
 *
 * The heap after a collection is what the rows cost; resident memory of the two servers that have read the file is
 * what the machine pays, garbage of the start included.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { datumFromEntries } from '../../src/ovsdb/data/datum.ts';
import type { Datum } from '../../src/ovsdb/data/datum.ts';
import { schemaFromJson } from '../../src/ovsdb/schema.ts';
import type { RowChange } from '../../src/ovsdb/server/database.ts';
import { Row } from '../../src/ovsdb/server/row.ts';
import { createDatabase, openDatabase } from '../../src/ovsdb/server/storage.ts';
import { SystemRandom, randomUuid } from '../../src/util/random.ts';
import { whenListening } from '../../tests/support/ovsdb.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rows = Number(process.argv[2] ?? 100_000);
const dir = mkdtempSync(join(tmpdir(), 'ovsdb-memory-'));
const file = join(dir, 'memory.db');
const empty = join(dir, 'empty.db');
const random = new SystemRandom();

/** The Interface table of the switch, without references: many columns, some of them set. */
const whole = JSON.parse(readFileSync(join(root, 'share/vswitch.ovsschema'), 'utf8')) as {
  tables: Record<string, { columns: Record<string, { type: unknown }>; indexes?: unknown }>;
};
const columns = Object.fromEntries(
  Object.entries(whole.tables['Interface']?.columns ?? {}).map(([name, column]) => [
    name,
    JSON.stringify(column.type).includes('refTable') ? { type: 'string' } : { type: column.type },
  ]),
);
const schema = schemaFromJson(
  JSON.parse(
    JSON.stringify({ name: 'Memory', tables: { Interface: { isRoot: true, columns, indexes: [['name']] } } }),
  ) as never,
);

function one(keys: Datum['keys'][number]): Datum {
  return { keys: [keys], values: null };
}

function fill(path: string): void {
  const storage = openDatabase(path);
  const table = storage.database.table('Interface');
  const changes: RowChange[] = [];
  for (let i = 0; i < rows; i++) {
    const uuid = randomUuid(random);
    const mac = `0a:00:00:${(i >> 16).toString(16).padStart(2, '0')}:${((i >> 8) & 255).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
    const datums = new Map<string, Datum>([
      ['name', one(`interface-${i}`)],
      ['type', one('internal')],
      ['ofport', one(i % 65000)],
      ['mac_in_use', one(mac)],
      ['admin_state', one('up')],
      ['link_state', one('up')],
      [
        'external_ids',
        datumFromEntries(
          [
            ['iface-id', randomUuid(random)],
            ['attached-mac', mac],
          ],
          true,
        ),
      ],
      [
        'statistics',
        datumFromEntries(
          [
            ['rx_packets', i * 3],
            ['tx_packets', i * 5],
            ['rx_bytes', i * 300],
            ['tx_bytes', i * 500],
          ],
          true,
        ),
      ],
    ]);
    changes.push({ table, uuid, old: undefined, new: Row.create(uuid, table.layout, datums) });
  }
  storage.append(changes, '', 0);
  storage.close();
}

function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function residentBytes(command: string, args: readonly string[], path: string): Promise<number> {
  const socket = join(dir, 'db.sock');
  const child = spawn(
    command,
    [...args, `--remote=punix:${socket}`, `--unixctl=${dir}/ctl`, '-vconsole:off', '-vsyslog:off', path],
    {
      cwd: root,
      stdio: 'ignore',
      env: { ...process.env, OVS_RUNDIR: dir },
    },
  );
  await whenListening(socket, child);
  const resident = await settledBytes(child.pid ?? 0);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill();
  await ended;
  rmSync(socket, { force: true });
  return resident;
}

/** Resident memory of a process once it stays the same for a second: V8 unmaps pages after a collection. */
async function settledBytes(pid: number): Promise<number> {
  const read = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  for (let before = read(); ;) {
    await delay(1000);
    const now = read();
    if (Math.abs(now - before) < before / 100) return now;
    before = now;
  }
}

createDatabase(empty, schema);
createDatabase(file, schema);
fill(file);
const jsonBytes = statSync(file).size - statSync(empty).size;
const before = heapBytes();
const storage = openDatabase(file, { isReadOnly: true });
const heap = heapBytes() - before;
const count = storage.database.rowCount;
const perRow = (bytes: number): string => `${Math.round(bytes / rows)} bytes a row`;
console.log(`${count} rows, JSON ${perRow(jsonBytes)}`);
console.log(`heap ${perRow(heap)}, beyond the JSON ${perRow(heap - jsonBytes)}`);
storage.close();
for (const [name, command, args] of [
  ['ours', process.execPath, ['dist/programs/run.cjs', 'ovsdb-server']],
  ['stock', 'ovsdb-server', []],
] as const) {
  const resident = (await residentBytes(command, args, file)) - (await residentBytes(command, args, empty));
  console.log(`${name}: resident ${perRow(resident)}, beyond the JSON ${perRow(resident - jsonBytes)}`);
}
rmSync(dir, { recursive: true });
