/**
 * An OpenFlow connection of a tool: opens, negotiates the version, and talks request by request.
 *
 * Everything waits: a tool does one thing at a time. Messages that nobody asked for (echo requests) are
 * answered or skipped while it waits for a reply.
 */
import { statSync } from 'node:fs';
import { decodeMessage, encodeMessage, encodeOne } from '../../openflow/codec.ts';
import type { CodecContext } from '../../openflow/codec.ts';
import { encodeHelloFailure } from '../../openflow/errors.ts';
import { messageLength } from '../../openflow/header.ts';
import { BundleControlType, BundleFlag } from '../../openflow/messages.ts';
import type { OfpMessage } from '../../openflow/messages.ts';
import { OfpError, SystemError, UsageError } from '../../util/errors.ts';
import { connectStream } from '../../stream/byte-stream.ts';
import type { ByteStream } from '../../stream/byte-stream.ts';
import { strerror } from '../../stream/errno.ts';
import { OPENFLOW_PORT, parseTarget } from '../../stream/target.ts';
import { ovsRundir } from '../../sys/dirs.ts';
import { vlog } from '../../util/log.ts';

const log = vlog('vconn');

/** An error message, and the message of ours that it is about. */
export interface BundleFailure {
  readonly error: Uint8Array;
  readonly request: Uint8Array;
}

let $nextXid = 1;

/** Transaction ids count from 1 in every program run. */
export function nextXid(): number {
  return $nextXid++;
}

const versionName = (v: number): string => `0x${v.toString(16).padStart(2, '0')}`;

/** Versions of a bitmap as OVS words them: `version 0x01`, `versions 0x01, 0x04`. */
function versionsText(bitmap: number): string {
  const list: number[] = [];
  for (let v = 1; v < 31; v++) if ((bitmap & (1 << v)) !== 0) list.push(v);
  const [first] = list;
  if (list.length === 1 && first !== undefined) return `version ${versionName(first)}`;
  if (list.length > 1 && first === 1 && (list.at(-1) ?? 0) === list.length) {
    return `version ${versionName(list.at(-1) ?? 1)} and earlier`;
  }
  return `versions ${list.map(versionName).join(', ')}`;
}

export class Vconn {
  readonly name: string;
  readonly #stream: ByteStream;
  readonly #inbox: Uint8Array[] = [];
  #partial = new Uint8Array(0);
  #wake: (() => void) | undefined;
  #end: SystemError | 'eof' | undefined;
  version = 0;
  flowFormat: 'openflow10' | 'nxm' = 'openflow10';
  tableIdExtension = false;

  constructor(name: string, stream: ByteStream) {
    this.name = name;
    this.#stream = stream;
    stream.start({
      onData: (bytes) => {
        this.#take(bytes);
      },
      onClose: (error) => {
        this.#end = error ?? 'eof';
        this.#wake?.();
      },
    });
  }

  get context(): CodecContext {
    return { version: this.version, flowFormat: this.flowFormat, tableIdExtension: this.tableIdExtension };
  }

  #take(bytes: Uint8Array): void {
    let data = bytes;
    if (this.#partial.length > 0) {
      data = new Uint8Array(this.#partial.length + bytes.length);
      data.set(this.#partial);
      data.set(bytes, this.#partial.length);
    }
    let at = 0;
    for (;;) {
      const length = messageLength(data, at);
      if (length === 0 || data.length - at < length) break;
      if (length < 8) {
        this.#end = new SystemError('EPROTO', 71, 'recv', 'Protocol error');
        this.#stream.destroy();
        break;
      }
      this.#inbox.push(data.slice(at, at + length));
      at += length;
    }
    this.#partial = data.slice(at);
    this.#wake?.();
  }

  /** Next message, as bytes. @throws SystemError when the connection ends. */
  async receive(): Promise<Uint8Array> {
    for (;;) {
      const message = this.#inbox.shift();
      if (message) return message;
      if (this.#end === 'eof') throw new SystemError('EOF', 0, 'recv', 'End of file');
      if (this.#end) throw this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  sendBytes(bytes: Uint8Array): void {
    this.#stream.send(bytes);
  }

  /** Bytes of a short message, with an xid of its own. */
  encode(message: OfpMessage): Uint8Array {
    return encodeOne(message, nextXid(), this.context);
  }

  /** Sends a message; returns its xid. */
  send(message: OfpMessage, xid = nextXid()): number {
    for (const part of encodeMessage(message, xid, this.context)) this.#stream.send(part);
    return xid;
  }

  /** Sends a request and waits for the message with its xid. */
  async transact(message: OfpMessage): Promise<Uint8Array> {
    const xid = this.send(message);
    return await this.receiveXid(xid);
  }

  async receiveXid(xid: number): Promise<Uint8Array> {
    for (;;) {
      const bytes = await this.receive();
      if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(4) === xid) return bytes;
      this.answerEcho(bytes);
    }
  }

  /** Replies to an echo request; says whether the message was one. */
  answerEcho(bytes: Uint8Array): boolean {
    if (bytes[1] !== 2) return false;
    const reply = bytes.slice();
    reply[1] = 3;
    this.#stream.send(reply);
    return true;
  }

  /** Sends a request that only an error answers. @returns The error message, or undefined. */
  async transactNoReply(message: OfpMessage): Promise<Uint8Array | undefined> {
    const xid = this.send(message);
    const barrier = this.send({ type: 'barrier_request' });
    let error: Uint8Array | undefined;
    for (;;) {
      const bytes = await this.receive();
      const got = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
      if (got === barrier) return error;
      if (got === xid) error ??= bytes;
      else this.answerEcho(bytes);
    }
  }

  /**
   * Has the switch do all of `messages` or none: an atomic, ordered bundle.
   *
   * @returns What went wrong: each error message with the message that it is about; empty when all is done.
   */
  async transactBundle(messages: readonly OfpMessage[]): Promise<BundleFailure[]> {
    const bundle = { bundleId: 0, flags: BundleFlag.ATOMIC | BundleFlag.ORDERED };
    const sent = new Map<number, Uint8Array>();
    const failures: BundleFailure[] = [];
    const encoded = messages.map((m) => [nextXid(), m] as const);
    const control = async (controlType: number): Promise<void> => {
      const xid = nextXid();
      const bytes = encodeOne({ type: 'bundle_control', ...bundle, controlType }, xid, this.context);
      sent.set(xid, bytes);
      this.#stream.send(bytes);
      await this.#collect(xid, sent, failures);
    };
    await control(BundleControlType.OPEN_REQUEST);
    if (failures.length > 0) return failures;
    for (const [xid, m] of encoded) {
      const message = encodeOne(m, xid, this.context);
      sent.set(xid, message);
      this.send({ type: 'bundle_add_message', ...bundle, message }, xid);
    }
    await this.#collect(this.send({ type: 'barrier_request' }), sent, failures);
    if (failures.length === 0) await control(BundleControlType.COMMIT_REQUEST);
    return failures;
  }

  /** Waits for the answer to `xid`, noting errors about what was sent. */
  async #collect(
    xid: number,
    sent: ReadonlyMap<number, Uint8Array>,
    failures: BundleFailure[],
  ): Promise<void> {
    for (;;) {
      const bytes = await this.receive();
      const got = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
      const request = sent.get(got);
      if (bytes[1] === 1 && request !== undefined) failures.push({ error: bytes, request });
      else if (got !== xid) this.answerEcho(bytes);
      if (got === xid) return;
    }
  }

  /** Sends our hello and reads the peer's. @throws SystemError EPROTO when no version is common. */
  async negotiate(allowed: number): Promise<void> {
    const highest = 31 - Math.clz32(allowed);
    const hello = encodeOne({ type: 'hello', versionBitmap: allowed }, nextXid(), { version: highest });
    this.#stream.send(hello);
    const bytes = await this.receive();
    let decoded;
    try {
      decoded = decodeMessage(bytes);
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
    }
    if (decoded?.message.type !== 'hello') {
      log.warn(`${this.name}: received bad hello`);
      throw new SystemError('EPROTO', 71, 'hello', strerror('EPROTO'));
    }
    const common = allowed & decoded.message.versionBitmap;
    if (common === 0) {
      const ours = versionsText(allowed);
      const theirs = versionsText(decoded.message.versionBitmap);
      log.warn(`${this.name}: version negotiation failed (we support ${ours}, peer supports ${theirs})`);
      this.#stream.send(
        encodeHelloFailure(
          'OFPHFC_INCOMPATIBLE',
          highest,
          `We support ${ours}, you support ${theirs}, no common versions.`,
        ),
      );
      throw new SystemError('EPROTO', 71, 'hello', strerror('EPROTO'));
    }
    this.version = 31 - Math.clz32(common);
  }

  close(): void {
    this.#stream.destroy();
  }
}

function isSocket(path: string): 'socket' | 'other' | 'absent' {
  try {
    return statSync(path).isSocket() ? 'socket' : 'other';
  } catch {
    return 'absent';
  }
}

async function openTarget(target: string, allowed: number, failure: (why: string) => string): Promise<Vconn> {
  let vconn: Vconn | undefined;
  try {
    const stream = await connectStream(parseTarget(target, OPENFLOW_PORT, ovsRundir()));
    vconn = new Vconn(target, stream);
    await vconn.negotiate(allowed);
    return vconn;
  } catch (e) {
    vconn?.close();
    if (!(e instanceof SystemError)) throw e;
    throw new UsageError(failure(e.code === 'EOF' ? 'End of file' : strerror(e.code)));
  }
}

/**
 * Opens a bridge by name, socket file, or connection method.
 *
 * @param suffix `mgmt` or `snoop`: which socket of a bridge.
 * @throws UsageError with ovs-ofctl's text.
 */
export async function openVconn(name: string, allowed: number, suffix = 'mgmt'): Promise<Vconn> {
  const viaSocket = (path: string): Promise<Vconn> =>
    openTarget(`unix:${path}`, allowed, (why) => `${name}: failed to connect to socket (${why})`);
  if (name.includes(':') && !/^[^:]+@/.test(name)) {
    return await openTarget(name, allowed, (why) => `connecting to ${name} (${why})`);
  }
  if (isSocket(name) === 'socket') return await viaSocket(name);
  const bridgePath = `${ovsRundir()}/${name}.${suffix}`;
  if (isSocket(bridgePath) === 'socket') return await viaSocket(bridgePath);
  const socketPath = `${ovsRundir()}/${name.replace(/^[^@]*@/, '')}.${suffix}`;
  const kind = isSocket(socketPath);
  if (kind === 'other') throw new UsageError(`cannot connect to ${name}: ${socketPath} is not a socket`);
  if (kind === 'socket') return await viaSocket(socketPath);
  throw new UsageError(`${name} is not a bridge or a socket`);
}
