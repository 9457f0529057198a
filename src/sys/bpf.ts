import { addressOf, libc } from './libc.ts';
import { check } from './errno.ts';

/**
 * bpf(2), as far as AF_XDP needs it: a map of sockets, the program that gives frames to them, and the link
 * that holds the program on a device. All three are descriptors, closed on exec; with the link's last
 * descriptor, so at the end of the process at the latest, the program is off the device.
 */
const SYS_bpf = process.arch === 'arm64' ? 280 : 321;
const BPF_MAP_CREATE = 0;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_MAP_TYPE_XSKMAP = 17;
const BPF_PROG_TYPE_XDP = 6;
const BPF_XDP = 37;
const BPF_PSEUDO_MAP_FD = 1;
const XDP_PASS = 2;
const BPF_FUNC_redirect_map = 51;

/** How a program is attached: by the driver, or in the generic layer after the packet became an skb. */
export const XDP_FLAGS_SKB_MODE = 2;
export const XDP_FLAGS_DRV_MODE = 4;

/** @throws SystemError */
function bpf(command: number, attr: DataView): number {
  return check(libc.syscall(SYS_bpf, command, addressOf(attr), attr.byteLength), 'bpf');
}

const attrOf = (size: number): DataView => new DataView(new ArrayBuffer(size));

/** @returns A map from receive queue to socket. @throws SystemError */
export function createXskMap(queues: number): number {
  const attr = attrOf(72);
  attr.setUint32(0, BPF_MAP_TYPE_XSKMAP, true);
  attr.setUint32(4, 4, true);
  attr.setUint32(8, 4, true);
  attr.setUint32(12, queues, true);
  return bpf(BPF_MAP_CREATE, attr);
}

/** Puts a bound socket under its queue. @throws SystemError */
export function setXskMap(mapFd: number, queue: number, socketFd: number): void {
  const [key, value] = [Uint32Array.of(queue), Uint32Array.of(socketFd)];
  const attr = attrOf(32);
  attr.setUint32(0, mapFd, true);
  attr.setBigUint64(8, BigInt(addressOf(key)), true);
  attr.setBigUint64(16, BigInt(addressOf(value)), true);
  bpf(BPF_MAP_UPDATE_ELEM, attr);
}

/**
 * The program: `return redirect_map(map, ctx->rx_queue_index, XDP_PASS)`. Frames of queues without a socket
 * go to the kernel as ever.
 *
 * @throws SystemError
 */
export function loadXskProgram(mapFd: number): number {
  const instructions: readonly (readonly [op: number, dst: number, src: number, off: number, imm: number])[] =
    [
      [0x61, 2, 1, 16, 0],
      [0x18, 1, BPF_PSEUDO_MAP_FD, 0, mapFd],
      [0, 0, 0, 0, 0],
      [0xb7, 3, 0, 0, XDP_PASS],
      [0x85, 0, 0, 0, BPF_FUNC_redirect_map],
      [0x95, 0, 0, 0, 0],
    ];
  const code = attrOf(8 * instructions.length);
  for (const [i, [op, dst, src, off, imm]] of instructions.entries()) {
    code.setUint8(8 * i, op);
    code.setUint8(8 * i + 1, (src << 4) | dst);
    code.setInt16(8 * i + 2, off, true);
    code.setInt32(8 * i + 4, imm, true);
  }
  const license = new TextEncoder().encode('Apache-2.0\0');
  const attr = attrOf(144);
  attr.setUint32(0, BPF_PROG_TYPE_XDP, true);
  attr.setUint32(4, instructions.length, true);
  attr.setBigUint64(8, BigInt(addressOf(code)), true);
  attr.setBigUint64(16, BigInt(addressOf(license)), true);
  return bpf(BPF_PROG_LOAD, attr);
}

/** Attaches an XDP program; closing the result takes it off. @throws SystemError, EBUSY if there is one */
export function attachXdp(programFd: number, ifindex: number, flags: number): number {
  const attr = attrOf(64);
  attr.setUint32(0, programFd, true);
  attr.setUint32(4, ifindex, true);
  attr.setUint32(8, BPF_XDP, true);
  attr.setUint32(12, flags, true);
  return bpf(BPF_LINK_CREATE, attr);
}
