/** The only source of randomness: seeded in simulation, from the system otherwise. */
export interface Random {
  /** A uniformly distributed u32. */
  u32(): number;
}

/** xorshift128; good enough for hashing constants and sampling, not for secrets. */
export class SeededRandom implements Random {
  #a: number;
  #b = 0x9e3779b9;
  #c = 0x243f6a88;
  #d = 0xb7e15162;
  constructor(seed: number) {
    this.#a = seed >>> 0 || 1;
    for (let i = 0; i < 16; i++) this.u32();
  }
  u32(): number {
    let t = this.#d;
    const s = this.#a;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = (t ^ s ^ (s >>> 19)) >>> 0;
    return this.#a;
  }
}

export class SystemRandom implements Random {
  readonly #pool = new Uint32Array(64);
  #next = 64;
  u32(): number {
    if (this.#next === this.#pool.length) {
      globalThis.crypto.getRandomValues(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++] ?? 0;
  }
}

const hexBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function hex16(word: number): string {
  return (hexBytes[(word >>> 8) & 0xff] ?? '') + (hexBytes[word & 0xff] ?? '');
}

/** Lower-case RFC 4122 version 4 UUID. */
export function randomUuid(random: Random): string {
  const a = random.u32();
  const b = random.u32();
  const c = random.u32();
  const d = random.u32();
  return (
    `${hex16(a >>> 16)}${hex16(a)}-${hex16(b >>> 16)}-${hex16(0x4000 | (b & 0xfff))}-` +
    `${hex16(0x8000 | ((c >>> 16) & 0x3fff))}-${hex16(c)}${hex16(d >>> 16)}${hex16(d)}`
  );
}
