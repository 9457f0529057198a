/**
 * Gives all that leaves a device a VLAN tag as a VLAN device of the kernel does: beside the frame, not in it.
 * For kernels without VLAN devices. Runs until it is killed.
 *
 * Usage: push-vlan.ts DEVICE VID   (in the device's network namespace)
 */
import { readFileSync } from 'node:fs';
import { check } from '../../src/sys/errno.ts';
import { addressOf, libc } from '../../src/sys/libc.ts';

const SYS_bpf = process.arch === 'arm64' ? 280 : 321;
const [BPF_PROG_LOAD, BPF_LINK_CREATE] = [5, 28];
const [BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS, BPF_FUNC_skb_vlan_push] = [3, 47, 18];
const bpf = (command: number, attr: DataView): number =>
  check(libc.syscall(SYS_bpf, command, addressOf(attr), attr.byteLength), 'bpf');

const [device = '', vid = '0'] = process.argv.slice(2);
const instructions: readonly (readonly [op: number, dst: number, imm: number])[] = [
  [0xb7, 2, 0x0081],
  [0xb7, 3, Number(vid)],
  [0x85, 0, BPF_FUNC_skb_vlan_push],
  [0xb7, 0, -1],
  [0x95, 0, 0],
];
const code = new DataView(new ArrayBuffer(8 * instructions.length));
for (const [i, [op, dst, imm]] of instructions.entries()) {
  code.setUint8(8 * i, op);
  code.setUint8(8 * i + 1, dst);
  code.setInt32(8 * i + 4, imm, true);
}
const license = new TextEncoder().encode('GPL\0');
const load = new DataView(new ArrayBuffer(144));
load.setUint32(0, BPF_PROG_TYPE_SCHED_CLS, true);
load.setUint32(4, instructions.length, true);
load.setBigUint64(8, BigInt(addressOf(code)), true);
load.setBigUint64(16, BigInt(addressOf(license)), true);
const link = new DataView(new ArrayBuffer(64));
link.setUint32(0, bpf(BPF_PROG_LOAD, load), true);
link.setUint32(4, Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8')), true);
link.setUint32(8, BPF_TCX_EGRESS, true);
bpf(BPF_LINK_CREATE, link);
console.log('ready');
setInterval(() => undefined, 1 << 30);
