import { errno, libc } from './libc.ts';
import { systemError } from './errno.ts';

const PR_SET_NAME = 15;
const SYS_gettid = process.arch === 'arm64' ? 178 : 186;
const cpuMaskBytes = 128;

/** Names the calling OS thread as `ps -T` and `top -H` show it; cut to 15 bytes by the kernel. */
export function setThreadName(name: string): void {
  const bytes = new Uint8Array(16);
  new TextEncoder().encodeInto(name, bytes.subarray(0, 15));
  libc.prctl(PR_SET_NAME, bytes, 0, 0, 0);
}

/** The kernel's id of the calling thread. */
export function gettid(): number {
  return libc.syscall(SYS_gettid, 0, 0, 0);
}

/** Binds the calling thread to one core. @throws SystemError EINVAL when there is no such core. */
export function pinThread(core: number): void {
  const mask = new Uint8Array(cpuMaskBytes);
  const byte = core >> 3;
  mask[byte] = 1 << (core & 7);
  if (core < 0 || byte >= cpuMaskBytes || libc.schedSetaffinity(0, cpuMaskBytes, mask) < 0) {
    throw systemError(errno() || 22, 'sched_setaffinity', `could not bind thread to core ${core}`);
  }
}

/** Cores that the calling thread may run on, ascending. */
export function allowedCores(): number[] {
  const mask = new Uint8Array(cpuMaskBytes);
  const cores: number[] = [];
  if (libc.schedGetaffinity(0, cpuMaskBytes, mask) < 0) return [0];
  mask.forEach((byte, at) => {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) cores.push(at * 8 + bit);
  });
  return cores;
}
