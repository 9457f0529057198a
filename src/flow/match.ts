import { KEY_SIZE } from './key.layout.ts';

/**
 * A flow match: a bit of `flow` counts where `mask` has a one.
 *
 * Both are keys (src/flow/key.layout.ts, 768 bytes). Kept so that `flow` is zero wherever `mask` is, which
 * makes equal matches equal bytes. A match without a packet_type condition made by the text or wire
 * parsers has packet_type = Ethernet fully masked, as in OVS.
 */
export class Match {
  readonly flow: Uint8Array;
  readonly mask: Uint8Array;

  /** Borrows both arrays; without them, a match of everything. */
  constructor(flow: Uint8Array = new Uint8Array(KEY_SIZE), mask: Uint8Array = new Uint8Array(KEY_SIZE)) {
    this.flow = flow;
    this.mask = mask;
  }

  clone(): Match {
    return new Match(this.flow.slice(), this.mask.slice());
  }

  equals(other: Match): boolean {
    for (let i = 0; i < KEY_SIZE; i++) {
      if (this.flow[i] !== other.flow[i] || this.mask[i] !== other.mask[i]) return false;
    }
    return true;
  }

  /** Whether it matches every flow. */
  get isCatchAll(): boolean {
    return this.mask.every((b) => b === 0);
  }

  /** Clears the bits of `flow` that the mask leaves out. */
  zeroWildcarded(): void {
    for (let i = 0; i < KEY_SIZE; i++) this.flow[i] = (this.flow[i] ?? 0) & (this.mask[i] ?? 0);
  }

  /** Whether a flow (a key) satisfies this match. */
  matches(flow: Uint8Array): boolean {
    for (let i = 0; i < KEY_SIZE; i++) {
      if ((((flow[i] ?? 0) ^ (this.flow[i] ?? 0)) & (this.mask[i] ?? 0)) !== 0) return false;
    }
    return true;
  }

  /** Whether every flow of `this` also satisfies `other`: OVS's "loosely equal or more specific". */
  isSubsetOf(other: Match): boolean {
    for (let i = 0; i < KEY_SIZE; i++) {
      const m = other.mask[i] ?? 0;
      if ((m & ~(this.mask[i] ?? 0)) !== 0) return false;
      if ((((this.flow[i] ?? 0) ^ (other.flow[i] ?? 0)) & m) !== 0) return false;
    }
    return true;
  }
}
