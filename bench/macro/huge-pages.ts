import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const counter = '/proc/sys/vm/nr_hugepages';
const pagesAGiB = 512;

function count(): number {
  return Number(readFileSync(counter, 'utf8'));
}

/**
 * Some GiB of 2-MiB pages for OVS-DPDK, added to those of the machine as long as a switch runs. OVS 3.1
 * cannot do without (it passes `--in-memory`, which DPDK does not take together with `--no-huge`).
 */
export class HugePages {
  readonly #directory: string;
  readonly #added: number;

  /** @throws Error when the machine has no such room. */
  constructor(rundir: string, gib: number) {
    this.#directory = join(rundir, 'huge');
    const before = count();
    const wanted = before + gib * pagesAGiB;
    writeFileSync(counter, String(wanted));
    if (count() < wanted) {
      // Caches may be all that is in the way.
      writeFileSync('/proc/sys/vm/drop_caches', '3');
      writeFileSync('/proc/sys/vm/compact_memory', '1');
      writeFileSync(counter, String(wanted));
    }
    this.#added = count() - before;
    mkdirSync(this.#directory);
    const mount = ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'nodev', this.#directory];
    const isMounted = spawnSync('mount', mount).status === 0;
    if (this.#added < gib * pagesAGiB || !isMounted) {
      this.release();
      throw new Error(
        `OVS-DPDK needs ${gib} GiB of huge pages, this machine gives ${this.#added} pages of 2 MiB`,
      );
    }
  }

  /** For DPDK's environment abstraction layer. */
  get arguments(): string {
    return `--huge-dir=${this.#directory}`;
  }

  release(): void {
    spawnSync('umount', [this.#directory], { stdio: 'ignore' });
    writeFileSync(counter, String(Math.max(0, count() - this.#added)));
  }
}
