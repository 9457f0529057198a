import { check, systemError } from '../sys/errno.ts';
import { errno, libc, watchReadable } from '../sys/libc.ts';
import { NLMSG_DONE, NLMSG_ERROR, NLM_F_ACK, NLM_F_MULTI, netlinkMessages } from './message.ts';
import type { NetlinkMessage } from './message.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const receiveBytes = 65536;
const replyTimeoutSec = 5;
const EINTR = 4;
const EAGAIN = 11;
const EPROTO = 71;
const ENOBUFS = 105;

/** The sender must be the kernel (port 0), so its address is left out: netlink delivers only to bound ports. */
function bindSocket(protocol: number, groups: number): number {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol), 'socket');
  const address = new DataView(new ArrayBuffer(12));
  address.setUint16(0, AF_NETLINK, true);
  address.setUint32(8, groups, true);
  if (libc.bind(fd, address, 12) < 0) {
    const error = systemError(errno(), 'bind');
    libc.close(fd);
    throw error;
  }
  return fd;
}

/**
 * A netlink socket for requests with answers. Calls block for the kernel's answer, which it makes
 * before sendto returns. One thread.
 */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(receiveBytes);
  #sequence = 0;

  /** @throws SystemError */
  constructor(protocol: number) {
    this.#fd = bindSocket(protocol, 0);
    const timeout = new BigInt64Array([BigInt(replyTimeoutSec), 0n]);
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16);
  }
  nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }
  /**
   * Sends one request and gathers its answers, up to the acknowledgement or the end of the dump.
   *
   * @param request With the sequence number of `nextSequence`; NLM_F_ACK or NLM_F_DUMP set.
   * @returns Answers whose payloads are copies.
   * @throws SystemError that the kernel answered
   */
  request(request: Uint8Array): NetlinkMessage[] {
    const wanted = this.#sequence;
    const wantsAck = (new DataView(request.buffer, request.byteOffset).getUint16(6, true) & NLM_F_ACK) !== 0;
    check(libc.sendto(this.#fd, request, request.length, 0, null, 0), 'sendto');
    const answers: NetlinkMessage[] = [];
    for (;;) {
      const n = libc.recv(this.#fd, this.#buffer, receiveBytes, 0);
      if (n < 0) {
        const error = errno();
        if (error === EINTR) continue;
        throw systemError(error, 'recv');
      }
      for (const message of netlinkMessages(this.#buffer.subarray(0, n))) {
        if (message.sequence !== wanted) continue;
        if (message.type === NLMSG_DONE) return answers;
        if (message.type === NLMSG_ERROR) {
          if (message.payload.length < 4) throw systemError(EPROTO, 'recv');
          const code = -new DataView(message.payload.buffer, message.payload.byteOffset).getInt32(0, true);
          if (code !== 0) throw systemError(code, 'netlink');
          return answers;
        }
        answers.push({ ...message, payload: message.payload.slice() });
        if (!wantsAck && (message.flags & NLM_F_MULTI) === 0) return answers;
      }
    }
  }
  close(): void {
    libc.close(this.#fd);
  }
}

/**
 * A netlink socket that listens to multicast groups, read without blocking by `run`.
 *
 * `watch` also has the event loop call back when something waits.
 */
export class NetlinkListener {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(receiveBytes);
  #watch: { stop(): void } | null = null;
  #isClosed = false;

  /** @param groups Bit mask of the old-style groups (RTMGRP_LINK = 1). @throws SystemError */
  constructor(protocol: number, groups: number) {
    this.#fd = bindSocket(protocol, groups);
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, new Int32Array([1 << 20]), 4);
  }
  /** Calls back from the event loop when messages wait; does not keep the process alive. */
  watch(onReadable: () => void): void {
    this.#watch?.stop();
    const handle = watchReadable(this.#fd, onReadable);
    handle.unref();
    this.#watch = handle;
  }
  /**
   * Takes what waits.
   *
   * @param onMessage Payloads are views, valid during the call.
   * @param onOverflow Messages were lost: whoever mirrors state must read it anew.
   * @returns Messages taken.
   */
  run(onMessage: (message: NetlinkMessage) => void, onOverflow: () => void): number {
    let taken = 0;
    for (let round = 0; round < 64 && !this.#isClosed; round++) {
      const n = libc.recv(this.#fd, this.#buffer, receiveBytes, MSG_DONTWAIT);
      if (n < 0) {
        const error = errno();
        if (error === ENOBUFS) {
          onOverflow();
          continue;
        }
        if (error === EINTR) continue;
        if (error !== EAGAIN) throw systemError(error, 'recv');
        break;
      }
      for (const message of netlinkMessages(this.#buffer.subarray(0, n))) {
        onMessage(message);
        taken++;
      }
    }
    return taken;
  }
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.stop();
    libc.close(this.#fd);
  }
}
