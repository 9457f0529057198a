import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';

/**
 * What the control-plane benchmarks share: a switch as they see it (a run directory with one bridge), an
 * OpenFlow 1.4 client that streams bytes made beforehand, and one that asks for echoes all the while.
 */
export interface ControlTarget {
  /** Holds `BRIDGE.mgmt` and `ovs-vswitchd.pid`. */
  readonly rundir: string;
  /** Default br0. */
  readonly bridge?: string;
}

export interface ControlMeasurement {
  readonly case: string;
  readonly unit: string;
  readonly value: number;
}

const version = 5;
const barrierRequest = 20;
const barrierReply = 21;
const typeError = 1;

const be16 = (n: number): Buffer => Buffer.from([n >>> 8, n & 0xff]);

function message(type: number, xid: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = version;
  head[1] = type;
  head.writeUInt16BE(8 + body.length, 2);
  head.writeUInt32BE(xid, 4);
  return Buffer.concat([head, body]);
}

/** add: ip,nw_dst=10.x.y.z actions=output:1 or 2. Length 96. */
function flowMod(i: number, xid: number, command = 0): Buffer {
  const body = Buffer.alloc(40);
  body[17] = command;
  body.writeUInt16BE(100, 22);
  body.fill(0xff, 24, 36);
  const match = Buffer.from(
    '00010012800 00a02080080001804'.replace(/ /g, '') + '00000000' + '000000000000',
    'hex',
  );
  match.writeUInt32BE((0x0a000000 + i) >>> 0, 14);
  const actions = Buffer.from(`000400180000000000000010${'00'.repeat(12)}`, 'hex');
  actions.writeUInt32BE((i % 2) + 1, 12);
  return message(14, xid, Buffer.concat([body, match, actions]));
}

/** `count` additions as one stretch of bytes; as messages of bundle 1 when asked. */
export function flowMods(count: number, isBundle: boolean): Buffer {
  const parts: Buffer[] = [];
  const bundle = Buffer.from('0000000100000003', 'hex');
  for (let i = 0; i < count; i++) {
    const inner = flowMod(i, 7);
    parts.push(isBundle ? message(34, 7, Buffer.concat([bundle, inner])) : inner);
  }
  return Buffer.concat(parts);
}

export function deleteAll(): Buffer {
  const body = Buffer.alloc(40);
  body[16] = 0xff;
  body[17] = 3;
  body.fill(0xff, 24, 36);
  return message(14, 8, Buffer.concat([body, Buffer.from('0001000400000000', 'hex')]));
}

/** Bundle control: 0 open, 2 close, 4 commit. */
export function bundleControl(type: number): Buffer {
  return message(33, 9, Buffer.concat([Buffer.from('00000001', 'hex'), be16(type), be16(3)]));
}

/** Asks for all flows. */
export function flowStatsRequest(): Buffer {
  const body = Buffer.alloc(40);
  body.writeUInt16BE(1, 0);
  body[8] = 0xff;
  body.fill(0xff, 12, 20);
  return message(18, 10, Buffer.concat([body, Buffer.from('0001000400000000', 'hex')]));
}

/** An OpenFlow connection that sends prepared bytes and waits for the reply to a barrier. */
export class ControlClient {
  readonly #socket: Socket;
  #held: Buffer = Buffer.alloc(0);
  #onReply: ((type: number, body: Buffer) => void) | null = null;
  /** Bytes received. */
  received = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#take(bytes));
  }

  static async open(target: ControlTarget): Promise<ControlClient> {
    const socket = connect(join(target.rundir, `${target.bridge ?? 'br0'}.mgmt`));
    const client = new ControlClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', resolve);
    });
    socket.write(Buffer.from([version, 0, 0, 8, 0, 0, 0, 1]));
    await client.barrier(Buffer.alloc(0));
    return client;
  }

  #take(bytes: Buffer): void {
    this.received += bytes.length;
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 8 && this.#held.length >= this.#held.readUInt16BE(2)) {
      const length = this.#held.readUInt16BE(2);
      const one = this.#held.subarray(0, length);
      this.#held = this.#held.subarray(length);
      this.#onReply?.(one[1] ?? 0, one);
    }
  }

  /** Sends bytes and a barrier; resolves with its reply. @throws Error for an error message */
  async barrier(bytes: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#onReply = (type, body) => {
        if (type === typeError) reject(new Error(`error message: ${body.toString('hex')}`));
        if (type === barrierReply) resolve();
      };
      this.#socket.write(bytes);
      this.#socket.write(message(barrierRequest, 11, Buffer.alloc(0)));
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Sends an echo request every few ms on a connection in a process of its own; tells the longest wait. */
export async function withEchoes<T>(
  target: ControlTarget,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly longestMs: number; readonly count: number }> {
  const script = `
    const socket = require('node:net').connect(process.argv[1]);
    const hello = Buffer.from([5, 0, 0, 8, 0, 0, 0, 1]), echo = Buffer.from([5, 2, 0, 8, 0, 0, 0, 2]);
    let sentMs = 0, longest = 0, count = 0, held = 0, isReady = false;
    const send = () => { sentMs = performance.now(); socket.write(echo); };
    socket.on('connect', () => { socket.write(hello); send(); });
    socket.on('data', (b) => {
      held += b.length;
      while (held >= 8) {
        held -= 8;
        if (!isReady) { isReady = true; console.log('ready'); continue; }
        count++;
        longest = Math.max(longest, performance.now() - sentMs);
        setTimeout(send, 3);
      }
    });
    process.stdin.on('data', () => {
      if (count > 0 && sentMs > 0) longest = Math.max(longest, 0);
      console.log(JSON.stringify({ longest, count }));
      process.exit(0);
    });`;
  const path = join(target.rundir, `${target.bridge ?? 'br0'}.mgmt`);
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  const waiting: (() => void)[] = [];
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
    for (const resolve of waiting.splice(0)) resolve();
  });
  const line = async (n: number): Promise<string> => {
    while (text.split('\n').length <= n) await new Promise<void>((resolve) => waiting.push(resolve));
    return text.split('\n')[n - 1] ?? '';
  };
  await line(1);
  const result = await run();
  child.stdin.write('end\n');
  const { longest, count } = JSON.parse(await line(2)) as { longest: number; count: number };
  return { result, longestMs: longest, count };
}

/** Pid of the switch. */
export function pidOf(target: ControlTarget): number {
  return Number(readFileSync(join(target.rundir, 'ovs-vswitchd.pid'), 'utf8'));
}

/** Resident memory of the switch, KB. */
export function residentKb(target: ControlTarget): number {
  const status = readFileSync(`/proc/${pidOf(target)}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
}

/** CPU time of all threads of the switch so far, seconds. */
export function cpuSec(target: ControlTarget): number {
  const fields = readFileSync(`/proc/${pidOf(target)}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
