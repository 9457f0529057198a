/**
 * The fastest packet source without hardware: BPF_PROG_TEST_RUN with live frames, some 3 Mpps on one core.
 *
 * The kernel makes copies of one frame; an XDP program gives each a random flow and redirects it out of
 * a device. The far end of that device must have NAPI: an XDP program, or `ethtool -K DEV gro on`.
 */
import { check } from '../../src/sys/errno.ts';
import { addressOf, libc } from '../../src/sys/libc.ts';

const SYS_bpf = process.arch === 'arm64' ? 280 : 321;
const BPF_PROG_LOAD = 5;
const BPF_PROG_TEST_RUN = 10;
const BPF_PROG_TYPE_XDP = 6;
const BPF_F_TEST_XDP_LIVE_FRAMES = 2;
const BPF_FUNC_get_prandom_u32 = 7;
const BPF_FUNC_redirect = 23;
const XDP_DROP = 1;

type Instruction = readonly [op: number, dst: number, src: number, off: number, imm: number];

function bpf(command: number, attr: DataView): number {
  return check(libc.syscall(SYS_bpf, command, addressOf(attr), attr.byteLength), 'bpf');
}

/** @throws SystemError */
export function loadXdpProgram(instructions: readonly Instruction[]): number {
  const code = new DataView(new ArrayBuffer(8 * instructions.length));
  for (const [i, [op, dst, src, off, imm]] of instructions.entries()) {
    code.setUint8(8 * i, op);
    code.setUint8(8 * i + 1, (src << 4) | dst);
    code.setInt16(8 * i + 2, off, true);
    code.setInt32(8 * i + 4, imm, true);
  }
  const license = new TextEncoder().encode('GPL\0');
  const attr = new DataView(new ArrayBuffer(144));
  attr.setUint32(0, BPF_PROG_TYPE_XDP, true);
  attr.setUint32(4, instructions.length, true);
  attr.setBigUint64(8, BigInt(addressOf(code)), true);
  attr.setBigUint64(16, BigInt(addressOf(license)), true);
  return bpf(BPF_PROG_LOAD, attr);
}

/** Drops every frame: the cheapest sink. The device's own rx_packets count them. */
export function loadDropProgram(): number {
  return loadXdpProgram([
    [0xb7, 0, 0, 0, XDP_DROP],
    [0x95, 0, 0, 0, 0],
  ]);
}

/**
 * Redirects UDP/IPv4 frames out of a device, each as a random one of `flows` flows: the number's low half is
 * the source port, its high half the low half of the source address.
 */
export function loadFlowProgram(ifindex: number, flows: number): number {
  return loadXdpProgram([
    [0xbf, 6, 1, 0, 0], // r6 = context
    [0x85, 0, 0, 0, BPF_FUNC_get_prandom_u32],
    [0x94, 0, 0, 0, flows], // w0 %= flows
    [0x61, 2, 6, 0, 0], // r2 = data
    [0x61, 3, 6, 4, 0], // r3 = data_end
    [0xbf, 4, 2, 0, 0],
    [0x07, 4, 0, 0, 42],
    [0x2d, 4, 3, 4, 0], // shorter than its headers: as it is
    [0x6b, 2, 0, 34, 0], // *(u16 *)(data + 34) = r0
    [0x74, 0, 0, 0, 16], // w0 >>= 16
    [0x6b, 2, 0, 28, 0], // *(u16 *)(data + 28) = r0
    [0x05, 0, 0, 0, 0],
    [0xb7, 1, 0, 0, ifindex],
    [0xb7, 2, 0, 0, 0],
    [0x85, 0, 0, 0, BPF_FUNC_redirect],
    [0x95, 0, 0, 0, 0],
  ]);
}

/** Runs a program on `count` live frames, blocking. @returns false after a signal. @throws SystemError */
export function runLiveFrames(programFd: number, frame: Uint8Array, count: number): boolean {
  const attr = new DataView(new ArrayBuffer(80));
  attr.setUint32(0, programFd, true);
  attr.setUint32(8, frame.length, true);
  attr.setBigUint64(16, BigInt(addressOf(frame)), true);
  attr.setUint32(32, count, true);
  attr.setUint32(64, BPF_F_TEST_XDP_LIVE_FRAMES, true);
  attr.setUint32(72, 64, true);
  return libc.syscall(SYS_bpf, BPF_PROG_TEST_RUN, addressOf(attr), attr.byteLength) >= 0;
}
