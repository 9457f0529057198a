import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A pmd in a process of its own, bound to a core (bench/micro/alone.ts). */
class Alone {
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  constructor(core: number) {
    const program = fileURLToPath(new URL('../micro/alone.ts', import.meta.url));
    const args = ['-c', String(core), process.execPath, '--import', 'tsx', program];
    this.#child = spawn('taskset', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error('a process of the comparison ended early');
    return next.value;
  }
  /** Packets a second of CPU time. */
  async measure(seconds: number): Promise<number> {
    this.#child.stdin.write(`${seconds}\n`);
    return Number(await this.line());
  }
  stop(): void {
    this.#child.kill();
  }
}

/**
 * How much two pmds that share nothing but the machine forward, compared with one: two threads of one physical
 * core give far less than twice.
 */
export async function ceilingOf(cores: readonly [number, number], seconds: number): Promise<number> {
  const both = cores.map((core) => new Alone(core));
  const [, second] = both;
  try {
    for (const each of both) await each.line();
    const one = (await second?.measure(seconds)) ?? 0;
    const two = await Promise.all(both.map(async (each) => await each.measure(seconds)));
    return two.reduce((sum, rate) => sum + rate, 0) / one;
  } finally {
    for (const each of both) each.stop();
  }
}
