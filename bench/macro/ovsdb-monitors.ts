/**
 * What a commit costs an OVSDB server that many clients monitor. Alone:
 * `npx tsx bench/macro/ovsdb-monitors.ts [--clients 1000] [--commits 200] [--runs 3]` starts the stock server
 * and ours in turn (A B A B) and prints the CPU time of the server for each update sent, the
 * bytes that arrived, and the resident memory at the end. Clients all ask for the same table, each under a name of its own.
 */
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SwitchUnderTest } from '../../tests/support/daemons.ts';

interface Result {
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly megabytes: number;
  readonly rssMb: number;
}

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

/** A client that looks only at the end of what it receives. */
class Listener {
  readonly #socket: Socket;
  #tail = '';
  bytes = 0;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.bytes += data.length;
      this.#tail = (this.#tail + data.toString('latin1', Math.max(0, data.length - 400))).slice(-400);
      this.#wake();
    });
  }
  static async connect(path: string): Promise<Listener> {
    const socket = createConnection({ path });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Listener(socket);
  }
  send(text: string): void {
    this.#socket.write(text);
  }
  async has(text: string): Promise<void> {
    while (!this.#tail.includes(text))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
  close(): void {
    this.#socket.destroy();
  }
}

async function measure(kind: 'ours' | 'stock', clients: number, commits: number): Promise<Result> {
  const server = await SwitchUnderTest.startServerOnly(kind);
  const listeners: Listener[] = [];
  try {
    const pid = server.pid('ovsdb-server');
    const socket = join(server.rundir, 'db.sock');
    const writer = await Listener.connect(socket);
    listeners.push(writer);
    const request = (id: string, operation: object): string =>
      JSON.stringify({ id, method: 'transact', params: ['Open_vSwitch', operation] });
    writer.send(request('first', { op: 'insert', table: 'Queue', row: { dscp: 1 } }));
    await writer.has('"first"');
    for (let i = 0; i < clients; i++) {
      const listener = await Listener.connect(socket);
      listeners.push(listener);
      const params = ['Open_vSwitch', `client ${i}`, { Queue: [{ columns: ['dscp', 'external_ids'] }] }];
      listener.send(JSON.stringify({ id: 'monitor', method: 'monitor_cond', params }));
      await listener.has('"monitor"');
    }
    const before = { cpuMs: cpuMs(pid), bytes: listeners.reduce((sum, l) => sum + l.bytes, 0) };
    const startMs = performance.now();
    for (let i = 0; i < commits; i++) {
      const ids = ['map', [['serial', `no. ${i}.`]]];
      writer.send(request(`t${i}.`, { op: 'update', table: 'Queue', where: [], row: { external_ids: ids } }));
      await writer.has(`t${i}.`);
    }
    for (const listener of listeners.slice(1)) await listener.has(`no. ${commits - 1}.`);
    const wallMs = performance.now() - startMs;
    return {
      cpuMs: cpuMs(pid) - before.cpuMs,
      wallMs,
      megabytes: (listeners.reduce((sum, l) => sum + l.bytes, 0) - before.bytes) / 1e6,
      rssMb: rssMb(pid),
    };
  } finally {
    for (const listener of listeners) listener.close();
    await server.stop();
  }
}

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1000' },
    commits: { type: 'string', default: '200' },
    runs: { type: 'string', default: '3' },
  },
});
const [clients, commits] = [Number(values.clients), Number(values.commits)];
for (let run = 0; run < Number(values.runs); run++) {
  for (const kind of ['stock', 'ours'] as const) {
    const result = await measure(kind, clients, commits);
    const perUpdateUs = (result.cpuMs * 1000) / (clients * commits);
    console.log(
      `${kind.padEnd(5)} ${clients} clients, ${commits} commits: ${perUpdateUs.toFixed(2)} us CPU an update, ` +
        `${Math.round(result.wallMs)} ms wall, ${result.megabytes.toFixed(1)} MB received, ` +
        `${Math.round(result.rssMb)} MB resident`,
    );
  }
}
