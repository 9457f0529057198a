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

/** Lower-case RFC 4122 version 4 UUID. */
export function randomUuid(random: Random): string {
  let hex = '';
  for (let i = 0; i < 4; i++) hex += random.u32().toString(16).padStart(8, '0');
  const variant = (8 + (parseInt(hex.charAt(16), 16) & 3)).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
