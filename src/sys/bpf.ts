import { addressOf, libc } from './libc.ts';
import { kernelFunctionId } from './btf.ts';
import { check, systemError } from './errno.ts';

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
const BPF_PSEUDO_KFUNC_CALL = 2;
const BPF_F_XDP_DEV_BOUND_ONLY = 64;
const XDP_DROP = 1;
const XDP_PASS = 2;
const BPF_FUNC_xdp_adjust_head = 44;
const BPF_FUNC_redirect_map = 51;

const EOPNOTSUPP = 95;

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

type Instruction = readonly [op: number, dst: number, src: number, off: number, imm: number];

/** @param boundTo Device whose metadata functions the program calls, 0 = none. */
function loadXdp(instructions: readonly Instruction[], boundTo: number): number {
  const code = attrOf(8 * instructions.length);
  for (const [i, [op, dst, src, off, imm]] of instructions.entries()) {
    code.setUint8(8 * i, op);
    code.setUint8(8 * i + 1, (src << 4) | dst);
    code.setInt16(8 * i + 2, off, true);
    code.setInt32(8 * i + 4, imm, true);
  }
  // The kernel lets only such programs call its functions.
  const license = new TextEncoder().encode('Dual BSD/GPL\0');
  const attr = attrOf(144);
  attr.setUint32(0, BPF_PROG_TYPE_XDP, true);
  attr.setUint32(4, instructions.length, true);
  attr.setBigUint64(8, BigInt(addressOf(code)), true);
  attr.setBigUint64(16, BigInt(addressOf(license)), true);
  if (boundTo !== 0) {
    attr.setUint32(44, BPF_F_XDP_DEV_BOUND_ONLY, true);
    attr.setUint32(64, boundTo, true);
  }
  return bpf(BPF_PROG_LOAD, attr);
}

/** `return redirect_map(map, queue, XDP_PASS)`, the queue being in r2. */
const redirect = (mapFd: number): readonly Instruction[] => [
  [0x18, 1, BPF_PSEUDO_MAP_FD, 0, mapFd],
  [0, 0, 0, 0, 0],
  [0xb7, 3, 0, 0, XDP_PASS],
  [0x85, 0, 0, 0, BPF_FUNC_redirect_map],
  [0x95, 0, 0, 0, 0],
];

/**
 * The program that gives the frames of each queue to its socket; those of queues without one go to the
 * kernel as ever.
 *
 * @throws SystemError
 */
export function loadXskProgram(mapFd: number): number {
  return loadXdp([[0x61, 2, 1, 16, 0], ...redirect(mapFd)], 0);
}

/**
 * The same for a device that keeps VLAN tags beside the frame (veth does, for tags of the far end's VLAN
 * devices): the tag is put back into the frame, or the frame dropped, for without it it would be in
 * another network.
 *
 * @throws SystemError when the kernel or the driver has no such function.
 */
export function loadXskVlanProgram(mapFd: number, ifindex: number): number {
  const getTag = kernelFunctionId('bpf_xdp_metadata_rx_vlan_tag');
  if (getTag === 0) throw systemError(EOPNOTSUPP, 'bpf');
  return loadXdp(
    [
      [0xbf, 6, 1, 0, 0], // r6 = context
      [0x7a, 10, 0, -8, 0], // u16 at fp - 8 = protocol, network order
      [0x7a, 10, 0, -16, 0], // u16 at fp - 16 = tag
      [0xbf, 2, 10, 0, 0],
      [0x07, 2, 0, 0, -8],
      [0xbf, 3, 10, 0, 0],
      [0x07, 3, 0, 0, -16],
      [0x85, 0, BPF_PSEUDO_KFUNC_CALL, 0, getTag],
      [0x55, 0, 0, 20, 0], // no tag: to the redirect
      [0xbf, 1, 6, 0, 0],
      [0xb7, 2, 0, 0, -4],
      [0x85, 0, 0, 0, BPF_FUNC_xdp_adjust_head],
      [0x55, 0, 0, 22, 0], // no room: drop
      [0x61, 2, 6, 0, 0], // r2 = data
      [0x61, 3, 6, 4, 0], // r3 = data_end
      [0xbf, 4, 2, 0, 0],
      [0x07, 4, 0, 0, 20],
      [0x2d, 4, 3, 17, 0], // too short: drop
      [0x61, 5, 2, 4, 0], // the two addresses move up
      [0x63, 2, 5, 0, 0],
      [0x61, 5, 2, 8, 0],
      [0x63, 2, 5, 4, 0],
      [0x61, 5, 2, 12, 0],
      [0x63, 2, 5, 8, 0],
      [0x69, 5, 10, -8, 0],
      [0x6b, 2, 5, 12, 0],
      [0x69, 5, 10, -16, 0],
      [0xdc, 5, 0, 0, 16],
      [0x6b, 2, 5, 14, 0],
      [0x61, 2, 6, 16, 0], // r2 = receive queue
      ...redirect(mapFd),
      [0xb7, 0, 0, 0, XDP_DROP],
      [0x95, 0, 0, 0, 0],
    ],
    ifindex,
  );
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
