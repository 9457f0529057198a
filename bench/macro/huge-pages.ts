import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const counter = '/proc/sys/vm/nr_hugepages';
const pagesAGiB = 512;

/**
 * Some GiB of 2-MiB pages for OVS-DPDK, as long as a switch runs; the machine has its former number of
 * them afterwards. Where they cannot be had DPDK runs on small pages, and `arguments` says so.
 */
export class HugePages {
  readonly #directory: string;
  readonly #before: number;
  readonly #wanted: number;
  readonly #gib: number;
  readonly isHuge: boolean;

  constructor(rundir: string, gib: number) {
    this.#gib = gib;
    this.#wanted = gib * pagesAGiB;
    this.#directory = join(rundir, 'huge');
    this.#before = HugePages.#count();
    if (this.#before < this.#wanted) writeFileSync(counter, String(this.#wanted));
    mkdirSync(this.#directory);
    this.isHuge =
      HugePages.#count() >= this.#wanted &&
      spawnSync('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'nodev', this.#directory]).status === 0;
  }

  static #count(): number {
    return Number(readFileSync(counter, 'utf8'));
  }

  /** For DPDK's environment abstraction layer. */
  get arguments(): string {
    return this.isHuge ? `--huge-dir=${this.#directory}` : `--no-huge -m ${this.#gib * 1024}`;
  }

  release(): void {
    if (this.isHuge) spawnSync('umount', [this.#directory]);
    if (this.#before < this.#wanted) writeFileSync(counter, String(this.#before));
  }
}
