import { spawnSync } from 'node:child_process';

/** Binds all threads of this process, and so what it starts, to one core. Nothing where taskset is missing. */
export function pinProcess(core: number): void {
  spawnSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)], { stdio: 'ignore' });
}
