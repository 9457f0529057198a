/**
 * Transactions a second of an OVSDB server, for one client with 1 and with 100 requests outstanding.
 * Alone: `npx tsx bench/macro/ovsdb.ts [--runs N] [--size SECONDS] [--only ours|stock]` starts both servers
 * in turn; `measure` takes any server with the Open_vSwitch schema. Its database gets rows in Queue.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwitchUnderTest } from '../../tests/support/daemons.ts';
import { comparePairs } from './measured.ts';
import type { Measured, Side } from './measured.ts';
import { RawClient } from './raw-client.ts';

export interface OvsdbTarget {
  /** Path of the server's unix socket. */
  readonly socket: string;
  /** Seconds a case; default 2. */
  readonly seconds?: number;
  /** The server's process, to have its CPU time a transaction as well. */
  readonly pid?: number;
}

const rowCount = 100;
const warmUpSec = 0.5;

type Request = (id: number) => string;

function transact(id: number, operation: object): string {
  return JSON.stringify({ id, method: 'transact', params: ['Open_vSwitch', operation] });
}

function insertOperation(i: number): object {
  return { op: 'insert', table: 'Queue', row: { dscp: i & 63, external_ids: ['map', [['n', String(i)]]] } };
}

/** Small transactions of one operation each on one of 100 rows, none of them durable. */
function requests(uuids: readonly string[]): Readonly<Record<string, Request>> {
  const where = (i: number): unknown => [['_uuid', '==', ['uuid', uuids[i % uuids.length]]]];
  const update: Request = (i) =>
    transact(i, { op: 'update', table: 'Queue', where: where(i), row: { dscp: (i / rowCount) & 63 } });
  const mutate: Request = (i) =>
    transact(i, {
      op: 'mutate',
      table: 'Queue',
      where: where(i),
      mutations: [['external_ids', (i / rowCount) & 1 ? 'delete' : 'insert', ['map', [['k', 'v']]]]],
    });
  const insert: Request = (i) => transact(i, insertOperation(i));
  return { update, mutate, insert };
}

function insertRows(client: RawClient): string[] {
  const uuids: string[] = [];
  for (let i = 0; i < rowCount; i++) {
    const [, uuid] = /"uuid","([0-9a-f-]{36})"/.exec(client.call(transact(i, insertOperation(i)))) ?? [];
    if (uuid === undefined) throw new Error('no row was inserted');
    uuids.push(uuid);
  }
  return uuids;
}

/** Requests are made beforehand, in rounds of this many, so that their making is not measured. */
const roundLength = 2000;

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** @returns Transactions done and the seconds it took. */
function run(client: RawClient, request: Request, outstanding: number, seconds: number): [number, number] {
  let id = 0;
  let done = 0;
  let elapsedMs = 0;
  while (elapsedMs < seconds * 1000) {
    const round = Array.from({ length: roundLength }, () => Buffer.from(request(id++)));
    const startMs = performance.now();
    if (outstanding === 1) {
      for (const bytes of round) {
        client.send(bytes);
        while (client.receive() === 0);
      }
    } else {
      let sent = 0;
      for (let pending = 0, left = roundLength; left > 0;) {
        const room = Math.min(outstanding - pending, roundLength - sent);
        if (room > 0) {
          client.send(Buffer.concat(round.slice(sent, sent + room)));
          sent += room;
          pending += room;
        }
        const n = client.receive();
        pending -= n;
        left -= n;
      }
    }
    elapsedMs += performance.now() - startMs;
    done += roundLength;
  }
  return [done, elapsedMs / 1000];
}

export function measure(target: OvsdbTarget): Promise<Measured[]> {
  const { socket, seconds = 2, pid } = target;
  const client = new RawClient(socket);
  const measured: Measured[] = [];
  const cases = requests(insertRows(client));
  for (const [name, request] of Object.entries(cases)) {
    for (const outstanding of [1, 100]) {
      run(client, request, outstanding, warmUpSec);
      const cpuBefore = pid === undefined ? 0 : cpuMs(pid);
      const [done, took] = run(client, request, outstanding, seconds);
      const what = `${name}, ${outstanding} outstanding`;
      measured.push({ case: what, unit: 'transactions/s', value: done / took });
      if (pid !== undefined)
        measured.push({
          case: `${what}, CPU of the server`,
          unit: 'us/transaction',
          value: ((cpuMs(pid) - cpuBefore) * 1000) / done,
        });
    }
  }
  client.close();
  return Promise.resolve(measured);
}

async function runOnce(side: Side, seconds: number | undefined): Promise<Measured[]> {
  const server = await SwitchUnderTest.startServerOnly(side);
  try {
    const target = { socket: join(server.rundir, 'db.sock'), pid: server.pid('ovsdb-server') };
    return await measure({ ...target, ...(seconds === undefined ? {} : { seconds }) });
  } finally {
    await server.stop();
  }
}

if (import.meta.filename === process.argv[1]) await comparePairs(runOnce);
