import { allocOrThrow } from '../arena/core.ts';
import { check } from '../sys/errno.ts';
import { libc } from '../sys/libc.ts';
import { memoryAddress } from '../sys/memory.ts';
import { netdevEnvironment } from './environment.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SOL_PACKET = 263;
const PACKET_FANOUT = 18;
const PACKET_FANOUT_HASH = 0;
const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000;
const BPF_RET_K = 0x06;

/**
 * Makes packet sockets of one device the receive queues of it: the kernel gives each packet to one of
 * them, by a hash of its flow that is the same both ways.
 *
 * A socket that is bound but not in the group yet would receive every packet, so all are deaf (a filter that
 * takes nothing) until all have joined.
 *
 * @param fds Not bound yet.
 * @param bind Binds one of them.
 * @throws SystemError
 */
export function bindAsFanout(fds: readonly number[], bind: (fd: number) => void): void {
  const [first] = fds;
  if (first === undefined || fds.length === 1) {
    fds.forEach(bind);
    return;
  }
  const { core } = netdevEnvironment();
  // struct sock_filter { u16 code; u8 jt, jf; u32 k } "ret 0", then struct sock_fprog { u16 len; filter * }.
  const program = allocOrThrow(core, 24);
  try {
    core.dv.setUint16(program, BPF_RET_K, true);
    core.dv.setUint32(program + 4, 0, true);
    core.dv.setUint16(program + 8, 1, true);
    core.dv.setBigUint64(program + 16, BigInt(memoryAddress(core.memory) + program), true);
    const fprog = core.u8.subarray(program + 8, program + 24);
    for (const fd of fds) check(libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 16), 'setsockopt');
    fds.forEach(bind);
    join(first, (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16);
    const group = new Uint32Array(1);
    check(libc.getsockopt(first, SOL_PACKET, PACKET_FANOUT, group, new Uint32Array([4])), 'getsockopt');
    const id = (group[0] ?? 0) & 0xffff;
    for (const fd of fds.slice(1)) join(fd, (PACKET_FANOUT_HASH << 16) | id);
    for (const fd of fds) {
      check(libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, new Int32Array(1), 4), 'setsockopt');
    }
  } finally {
    core.x.free(program);
  }
}

function join(fd: number, typeAndId: number): void {
  check(libc.setsockopt(fd, SOL_PACKET, PACKET_FANOUT, new Int32Array([typeAndId]), 4), 'setsockopt');
}
