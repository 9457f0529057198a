import type { Core } from '../arena/core.ts';

/**
 * Rules that a request selected, as addresses in a block of the arena: a million of them cost 4 MB and no
 * JavaScript object. A held list keeps a reference on each rule, so that it may be worked off over several
 * turns while rules come and go; one that is not held is good until rules are freed.
 *
 * Life cycle: made by `FlowTables.select`; `free()` once.
 */
export class RuleList {
  readonly #core: Core;
  readonly #address: number;
  readonly #isHeld: boolean;
  readonly length: number;
  #released = 0;

  /** @param address A block of u32[length], owned by the list from now on. */
  constructor(core: Core, address: number, length: number, isHeld: boolean) {
    this.#core = core;
    this.#address = address;
    this.length = length;
    this.#isHeld = isHeld;
  }

  at(i: number): number {
    return this.#core.u32[(this.#address >>> 2) + i] ?? 0;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }

  /** Packets and bytes of all rules. */
  sum(): { packetCount: bigint; byteCount: bigint } {
    const { x, dv } = this.#core;
    const at = x.alloc(16) >>> 0;
    if (at === 0) return { packetCount: 0n, byteCount: 0n };
    x.rulesSum(this.#address, this.length, at);
    const sum = { packetCount: dv.getBigUint64(at, true), byteCount: dv.getBigUint64(at + 8, true) };
    x.free(at);
    return sum;
  }

  /** Only those rules that `keep` says; the others are let go. */
  filter(keep: (rule: number) => boolean): RuleList {
    const { u32, x } = this.#core;
    const from = this.#address >>> 2;
    let n = 0;
    for (let i = 0; i < this.length; i++) {
      const rule = this.at(i);
      if (keep(rule)) u32[from + n++] = rule;
      else if (this.#isHeld) x.ruleUnref(rule);
    }
    return new RuleList(this.#core, this.#address, n, this.#isHeld);
  }

  /** Lets go of the rules up to the `n`th, which are not asked for again. */
  releaseTo(n: number): void {
    if (this.#isHeld) this.#core.x.rulesUnref(this.#address + 4 * this.#released, n - this.#released);
    this.#released = n;
  }

  free(): void {
    this.releaseTo(this.length);
    this.#core.x.free(this.#address);
  }
}
