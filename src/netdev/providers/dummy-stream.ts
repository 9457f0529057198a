import { unlinkSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { errorText } from '../../sys/errno.ts';
import { unlinkAtExit, unlinkNow } from '../../sys/exit-hooks.ts';
import { UsageError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';

/**
 * Frames of a dummy device over a byte stream: each one after its length as two bytes, big endian
 * (what QEMU's and OVS's dummies speak).
 *
 * Active (`stream=unix:FILE|tcp:HOST:PORT`) connects again after a failure, waiting 1, 2, 4, then 8
 * seconds. Passive (`pstream=punix:FILE|ptcp:PORT[:HOST]`) serves any number of peers.
 */
export interface FrameStream {
  send(frame: Uint8Array): void;
  /** 'connected', 'disconnected', or 'unknown' for a passive one. */
  readonly state: string;
  /** Tries again when the time has come. */
  run(nowMs: number): void;
  close(): void;
}

type TakeFrame = (frame: Uint8Array) => void;
const log = vlog('netdev_dummy');
const reconnectLog = vlog('reconnect');
/** Frames for a peer that does not read are dropped beyond this. */
const backlogMaxBytes = 1 << 20;
const frameMinBytes = 14;

/** Cuts a socket's bytes into frames. A frame shorter than an Ethernet header ends the connection. */
function readFrames(socket: Socket, take: TakeFrame, onBad: () => void): void {
  let rest = new Uint8Array(0);
  socket.on('data', (chunk: Buffer) => {
    const bytes = new Uint8Array(rest.length + chunk.length);
    bytes.set(rest);
    bytes.set(chunk, rest.length);
    let at = 0;
    while (bytes.length - at >= 2) {
      const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      if (length < frameMinBytes) {
        onBad();
        return;
      }
      if (bytes.length - at - 2 < length) break;
      take(bytes.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    rest = bytes.slice(at);
  });
}

function writeFrame(socket: Socket, frame: Uint8Array): void {
  if (socket.writableLength > backlogMaxBytes || frame.length > 0xffff) return;
  const bytes = new Uint8Array(2 + frame.length);
  bytes[0] = frame.length >> 8;
  bytes[1] = frame.length;
  bytes.set(frame, 2);
  socket.write(bytes);
}

function splitHostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`${text}: bad peer name format`);
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
}

class ActiveStream implements FrameStream {
  readonly #target: string;
  readonly #take: TakeFrame;
  #socket: Socket | null = null;
  #isConnected = false;
  #isClosed = false;
  #backoffMs = 0;
  #retryAtMs: number | null = -Infinity;

  constructor(target: string, take: TakeFrame) {
    if (!target.startsWith('unix:') && !target.startsWith('tcp:'))
      throw new UsageError(`${target}: bad peer name format`);
    if (target.startsWith('tcp:')) splitHostPort(target.slice(4));
    this.#target = target;
    this.#take = take;
  }
  get state(): string {
    return this.#isConnected ? 'connected' : 'disconnected';
  }
  send(frame: Uint8Array): void {
    if (this.#socket !== null && this.#isConnected) writeFrame(this.#socket, frame);
  }
  run(nowMs: number): void {
    if (this.#isClosed || this.#socket !== null) return;
    this.#retryAtMs ??= nowMs + this.#backoffMs;
    if (nowMs < this.#retryAtMs) return;
    this.#retryAtMs = null;
    reconnectLog.info(`${this.#target}: connecting...`);
    const target = this.#target;
    const socket = target.startsWith('unix:')
      ? createConnection({ path: target.slice(5) })
      : createConnection(splitHostPort(target.slice(4)));
    this.#socket = socket;
    socket.unref();
    socket.on('connect', () => {
      this.#isConnected = true;
      this.#backoffMs = 0;
      reconnectLog.info(`${target}: connected`);
    });
    socket.on('error', (error) => {
      const what = this.#isConnected ? 'connection dropped' : 'connection attempt failed';
      reconnectLog.info(`${target}: ${what} (${errorText(error)})`);
    });
    socket.on('close', () => {
      this.#isConnected = false;
      this.#socket = null;
      this.#backoffMs = Math.min(8000, Math.max(1000, this.#backoffMs * 2));
    });
    readFrames(socket, this.#take, () => socket.destroy());
  }
  close(): void {
    this.#isClosed = true;
    this.#socket?.destroy();
  }
}

class PassiveStream implements FrameStream {
  readonly state = 'unknown';
  readonly #server: Server;
  readonly #peers = new Set<Socket>();
  readonly #path: string | null;

  constructor(target: string, take: TakeFrame) {
    this.#server = createServer((socket) => {
      this.#peers.add(socket);
      socket.unref();
      socket.on('close', () => this.#peers.delete(socket));
      socket.on('error', (error) => log.dbg(`${target}: ${errorText(error)}`));
      readFrames(socket, take, () => {
        log.warn(`${target}: receive error (Protocol error)`);
        socket.destroy();
      });
    });
    this.#server.on('error', (error) => log.err(`${target}: listen failed: ${errorText(error)}`));
    this.#server.unref();
    if (target.startsWith('punix:')) {
      const path = target.slice(6);
      this.#path = path;
      try {
        unlinkSync(path);
      } catch {
        // Nobody left one there.
      }
      unlinkAtExit(path);
      this.#server.listen({ path });
    } else if (target.startsWith('ptcp:')) {
      this.#path = null;
      const [port = '', host = '0.0.0.0'] = target.slice(5).split(/:(.*)/);
      if (!/^\d+$/.test(port)) throw new UsageError(`${target}: bad peer name format`);
      this.#server.listen({ port: Number(port), host });
    } else {
      throw new UsageError(`${target}: bad peer name format`);
    }
  }
  send(frame: Uint8Array): void {
    for (const peer of this.#peers) writeFrame(peer, frame);
  }
  run(): void {
    // The server accepts by itself.
  }
  close(): void {
    this.#server.close();
    for (const peer of this.#peers) peer.destroy();
    if (this.#path !== null) unlinkNow(this.#path);
  }
}

/** @throws UsageError when the target cannot be understood. */
export function openFrameStream(kind: 'stream' | 'pstream', target: string, take: TakeFrame): FrameStream {
  return kind === 'stream' ? new ActiveStream(target, take) : new PassiveStream(target, take);
}
