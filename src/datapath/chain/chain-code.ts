import { WasmWriter } from './wasm-writer.ts';

/**
 * The chain: the filters of all subtables of an input port as one WebAssembly function, masks and
 * constants in the code.
 *
 *     chain(pending, n): for each of n packets
 *       key = keys[k]
 *       for each subtable s, in order:                        // unrolled
 *         hash = sum of (key word & mask) * constant
 *         if filter of s passes hash and s >= starts[k]: found[k] = s + 1, next packet
 *       found[k] = 0
 *
 * Why: interpreted, each subtable costs a loop of its own with its set-up and its mispredicted end. In
 * straight line code, terms that masks share (ethertype, addresses) are summed once for all, and a subtable
 * that is passed over costs some 20 instructions. What a filter lets through is looked up by core.wasm
 * (assembly/dpcls-chain.ts), batch by batch, so that waits for memory overlap.
 *
 * Threads: pure; any thread makes the bytes, the pmd's instantiates them over its memory.
 */

/** One word of a mask. */
export interface ChainWord {
  /** Byte offset in the key, a multiple of 8. */
  readonly at: number;
  readonly mask: bigint;
  readonly constant: bigint;
}

export interface ChainSubtable {
  /** Arena address of its `filter` field. */
  readonly filterAt: number;
  readonly words: readonly ChainWord[];
}

/** Offsets from `pending`: u32[32] each of keys, of subtables to pass over, and of the results. */
export interface ChainPlaces {
  readonly keys: number;
  readonly starts: number;
  readonly found: number;
}

const I32 = 0x7f;
const I64 = 0x7e;
const op = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Store: 0x36,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32LeU: 0x4d,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i64Add: 0x7c,
  i64Mul: 0x7e,
  i64And: 0x83,
  i64ShrU: 0x88,
  i64Eqz: 0x50,
  i32Shl: 0x74,
  i32WrapI64: 0xa7,
  i32And: 0x71,
} as const;
const empty = 0x40;

// Parameters and fixed locals; sums follow.
const pending = 0;
const left = 1;
const key = 2;
const found = 3;
const hash = 4;
const filter = 5;
const position = 6;
const word = 7;
const firstSum = 8;

const termId = (w: ChainWord): string => `${w.at}:${w.mask.toString(16)}`;

/**
 * A hash as a sum of terms and of sums that other subtables use too. Pairs that stand in several sums are
 * taken out again and again, the most frequent first.
 */
class Sums {
  /** What each shared sum consists of: terms or sums. */
  readonly shared: (readonly [string, string])[] = [];
  readonly terms = new Map<string, ChainWord>();
  readonly of: string[][];

  constructor(subtables: readonly ChainSubtable[]) {
    this.of = subtables.map((s) =>
      s.words.map((w) => {
        this.terms.set(termId(w), w);
        return termId(w);
      }),
    );
    for (;;) {
      const best = this.#commonPair();
      if (best === undefined) break;
      const name = `+${this.shared.length}`;
      this.shared.push(best);
      for (const parts of this.of) {
        if (!parts.includes(best[0]) || !parts.includes(best[1])) continue;
        parts.splice(parts.indexOf(best[0]), 1);
        parts.splice(parts.indexOf(best[1]), 1, name);
      }
    }
  }

  /** The pair that stands in most sums, in two at least. */
  #commonPair(): readonly [string, string] | undefined {
    const counts = new Map<string, { pair: readonly [string, string]; count: number }>();
    for (const parts of this.of) {
      const sorted = [...parts].sort();
      sorted.forEach((a, i) => {
        for (const b of sorted.slice(i + 1)) {
          const entry = counts.get(`${a} ${b}`);
          if (entry === undefined) counts.set(`${a} ${b}`, { pair: [a, b], count: 1 });
          else entry.count++;
        }
      });
    }
    const best = [...counts.values()].reduce<{ pair: readonly [string, string] | undefined; count: number }>(
      (most, e) => (e.count > most.count ? e : most),
      {
        pair: undefined,
        count: 1,
      },
    );
    return best.pair;
  }

  /** How often each term or sum is used. */
  uses(): Map<string, number> {
    const uses = new Map<string, number>();
    for (const parts of [...this.of, ...this.shared]) {
      for (const part of parts) uses.set(part, (uses.get(part) ?? 0) + 1);
    }
    return uses;
  }
}

/** Writes the code of one hash: each part on first use is kept in a local if it is used again. */
class HashCode {
  readonly #sums: Sums;
  readonly #uses: Map<string, number>;
  readonly #locals = new Map<string, number>();

  constructor(sums: Sums) {
    this.#sums = sums;
    this.#uses = sums.uses();
  }

  get localCount(): number {
    return this.#locals.size;
  }

  /** Leaves the hash of subtable `index` on the stack. */
  write(code: WasmWriter, index: number): void {
    const parts = this.#sums.of[index] ?? [];
    if (parts.length === 0) code.u8(op.i64Const).signed(0n);
    parts.forEach((part, i) => {
      this.#part(code, part);
      if (i > 0) code.u8(op.i64Add);
    });
  }

  #part(code: WasmWriter, part: string): void {
    const known = this.#locals.get(part);
    if (known !== undefined) {
      code.u8(op.localGet).u32(known);
      return;
    }
    const sum = part.startsWith('+') ? this.#sums.shared[Number(part.slice(1))] : undefined;
    if (sum !== undefined) {
      this.#part(code, sum[0]);
      this.#part(code, sum[1]);
      code.u8(op.i64Add);
    } else {
      const term = this.#sums.terms.get(part);
      if (term === undefined) return;
      code.u8(op.localGet, key, op.i64Load, 3).u32(term.at);
      if (BigInt.asUintN(64, term.mask) !== 0xffff_ffff_ffff_ffffn) {
        code.u8(op.i64Const).signed(term.mask).u8(op.i64And);
      }
      code.u8(op.i64Const).signed(term.constant).u8(op.i64Mul);
    }
    if ((this.#uses.get(part) ?? 0) < 2) return;
    const local = firstSum + this.#locals.size;
    this.#locals.set(part, local);
    code.u8(op.localTee).u32(local);
  }
}

/** Branches out of the block `depth` if the filter passes and the subtable is not to be passed over. */
function writeFilter(code: WasmWriter, subtable: ChainSubtable, index: number, places: ChainPlaces): void {
  code.u8(op.localSet, hash);
  code.u8(op.i32Const).signed(BigInt(subtable.filterAt | 0));
  code.u8(op.i64Load, 3, 0, op.localTee, filter);
  // position = hash >>> shift; shift is the filter's upper half.
  code.u8(op.i64Const, 32, op.i64ShrU, op.localSet, word);
  code.u8(op.localGet, hash, op.localGet, word, op.i64ShrU, op.localSet, position);
  // The 64-bit word that position >>> 6 names.
  code.u8(op.localGet, filter, op.i32WrapI64);
  code.u8(op.localGet, position, op.i64Const, 6, op.i64ShrU, op.i32WrapI64, op.i32Const, 3, op.i32Shl);
  code.u8(op.i32Add, op.i64Load, 3, 0, op.localSet, filter);
  // Bit position, and the bit that the six next lower bits of the hash name.
  code.u8(op.localGet, filter, op.localGet, position, op.i64ShrU);
  code.u8(op.localGet, filter);
  code.u8(op.localGet, hash, op.localGet, word).u8(op.i64Const).signed(-6n).u8(op.i64Add, op.i64ShrU);
  code.u8(op.i64ShrU, op.i64And, op.i32WrapI64, op.i32Const, 1, op.i32And);
  code.u8(op.if, empty);
  code
    .u8(op.i32Const)
    .signed(BigInt(index + 1))
    .u8(op.localSet, found);
  code.u8(op.localGet, pending, op.i32Load, 2).u32(places.starts);
  code.u8(op.i32Const).signed(BigInt(index)).u8(op.i32LeU, op.brIf, 1);
  code.u8(op.end);
}

function functionBody(subtables: readonly ChainSubtable[], places: ChainPlaces): WasmWriter {
  const hashes = new HashCode(new Sums(subtables));
  const code = new WasmWriter();
  code.u8(op.loop, empty);
  code.u8(op.localGet, pending, op.i32Load, 2).u32(places.keys).u8(op.localSet, key);
  code.u8(op.block, empty);
  subtables.forEach((subtable, index) => {
    hashes.write(code, index);
    writeFilter(code, subtable, index, places);
  });
  code.u8(op.i32Const, 0, op.localSet, found);
  code.u8(op.end);
  code.u8(op.localGet, pending, op.localGet, found, op.i32Store, 2).u32(places.found);
  code.u8(op.localGet, pending, op.i32Const, 4, op.i32Add, op.localSet, pending);
  code.u8(op.localGet, left, op.i32Const, 1, op.i32Sub, op.localTee, left, op.brIf, 0);
  code.u8(op.end, op.end);

  const body = new WasmWriter();
  body
    .u32(2)
    .u32(2)
    .u8(I32)
    .u32(4 + hashes.localCount)
    .u8(I64);
  return body.bytes(code.finish());
}

/**
 * The module of a chain: imports `env.memory`, exports `chain(pending: i32, n: i32)` with n >= 1.
 *
 * @param shared Whether the memory is shared.
 * @param subtables In the order in which they are to be tried.
 */
export function encodeChain(
  subtables: readonly ChainSubtable[],
  places: ChainPlaces,
  shared: boolean,
): Uint8Array {
  const section = (id: number, content: WasmWriter): void => {
    module.u8(id).sized(content);
  };
  const module = new WasmWriter().u8(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  section(1, new WasmWriter().u32(1).u8(0x60).u32(2).u8(I32, I32).u32(0));
  const limits = shared ? 3 : 1;
  section(2, new WasmWriter().u32(1).name('env').name('memory').u8(2, limits).u32(1).u32(65536));
  section(3, new WasmWriter().u32(1).u32(0));
  section(7, new WasmWriter().u32(1).name('chain').u8(0).u32(0));
  section(10, new WasmWriter().u32(1).sized(functionBody(subtables, places)));
  return module.finish().slice();
}
