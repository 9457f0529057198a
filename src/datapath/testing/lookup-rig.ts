import fc from 'fast-check';
import { allocKey } from '../../arena/keys.ts';
import { testCore } from '../../arena/testing/test-core.ts';
import { KeyLayout } from '../../flow/generated/key.ts';
import { PacketLayout } from '../../netdev/generated/packet.ts';
import { OdpActionWriter } from '../../odp/action-writer.ts';
import { encodePortChain, InstalledChains, readPorts, type CompiledChain } from '../chain/chain.ts';
import { PmdLayout } from '../generated/pmd.ts';
import { ArenaPacket } from '../packet-path.ts';
import { ethernet, ipv4, ipv6, tcp, udp } from './packets.ts';

/**
 * A pmd on which any masks and frames can be tried: what its caches and lookups say, and what the uncached lookup
 * under the lock says.
 */
const IN_PORT = 3;

/** A mask is a set of byte ranges; the tag byte (dl_dst[5]) is always in it and names the mask. */
const maskBytes: readonly (readonly [at: number, value: number])[] = [
  [KeyLayout.nwSrc + 3, 0xff],
  [KeyLayout.nwSrc + 2, 0xf0],
  [KeyLayout.nwDst + 3, 0x0f],
  [KeyLayout.tpSrc + 1, 0xff],
  [KeyLayout.tpDst + 1, 0x03],
  [KeyLayout.dlType, 0xff],
  [KeyLayout.nwProto, 0xff],
  [KeyLayout.ipv6Src + 15, 0xff],
  [KeyLayout.ipv6Dst + 7, 0x81],
  [KeyLayout.pktMark, 0xff],
];

/** Sets of indices into the bytes above; a mask each. */
export const maskSets = fc.array(fc.uniqueArray(fc.nat(maskBytes.length - 1), { maxLength: 6 }), {
  minLength: 2,
  maxLength: 70,
});
const small = fc.nat(3);
export const frameSpecs = fc.array(
  fc.record({
    tag: fc.nat(80),
    v6: fc.boolean(),
    src: fc.nat(40),
    dst: small,
    sport: small,
    dport: small,
    syn: fc.boolean(),
  }),
  { minLength: 1, maxLength: 120 },
);

export class LookupRig {
  readonly core = testCore();
  readonly pmd = this.core.x.pmdCreate(1) >>> 0;
  readonly chains = new InstalledChains(this.core, this.pmd);
  readonly #key = allocKey(this.core);
  readonly #mask = allocKey(this.core);
  readonly #batch = this.core.x.alloc(128) >>> 0;
  readonly #actions = this.core.x.alloc(64) >>> 0;
  readonly #packets = Array.from({ length: 32 }, () => new ArenaPacket(this.core, 256));

  /** By default the dpcls alone decides. */
  constructor(caches: { readonly emc?: boolean; readonly smc?: boolean } = {}) {
    this.core.x.pmdSetEmcInsertInvProb(this.pmd, caches.emc === true ? 1 : 0);
    this.core.x.pmdSetSmc(this.pmd, caches.smc === true);
  }

  /** A counter of the pmd record. */
  counter(name: keyof typeof PmdLayout): number {
    return this.core.dv.getFloat64(this.pmd + PmdLayout[name], true);
  }

  /** Installs the megaflow of a frame under a mask. Without the tag the caller keeps megaflows disjoint. */
  install(frame: Uint8Array, tag: number, bytes: readonly number[], withTag = true): number {
    const { x, u8 } = this.core;
    const packet = this.#packets[0];
    if (packet === undefined) return 0;
    x.extract(packet.load(frame, IN_PORT), this.#key);
    u8.fill(0, this.#mask, this.#mask + KeyLayout.size);
    if (withTag) u8[this.#mask + KeyLayout.dlDst + 5] = 0xff;
    for (const i of bytes) {
      const [at, value] = maskBytes[i] ?? [0, 0];
      u8[this.#mask + at] = value;
    }
    const writer = new OdpActionWriter(u8, this.#actions, 64);
    writer.output(tag + 1);
    return x.megaflowInstall(this.pmd, this.#key, this.#mask, this.#actions, writer.length, 0) >>> 0;
  }

  /** The megaflow that the packet path finds for each frame, 0 = none. */
  lookUp(frames: readonly Uint8Array[]): number[] {
    const { x, dv } = this.core;
    const found: number[] = [];
    for (let at = 0; at < frames.length; at += 32) {
      const burst = frames.slice(at, at + 32);
      burst.forEach((frame, i) => {
        dv.setUint32(this.#batch + 4 * i, this.#packets[i]?.load(frame, IN_PORT) ?? 0, true);
      });
      x.pmdProcess(this.pmd, this.#batch, burst.length, 1);
      burst.forEach((_, i) =>
        found.push(dv.getUint32((this.#packets[i]?.address ?? 0) + PacketLayout.megaflow, true)),
      );
      x.pmdReset(this.pmd);
    }
    return found;
  }

  /** What the uncached lookup under the lock says. */
  reference(frames: readonly Uint8Array[]): number[] {
    const { x } = this.core;
    return frames.map((frame) => {
      x.extract(this.#packets[0]?.load(frame, IN_PORT) ?? 0, this.#key);
      return x.megaflowLookup(this.pmd, this.#key) >>> 0;
    });
  }

  compile(): CompiledChain {
    const port = readPorts(this.core, this.pmd)[0];
    if (port === undefined) throw new Error('no port');
    return { ...port, module: new WebAssembly.Module(encodePortChain(this.core, port)) };
  }
}

export const frameOf = (f: {
  tag: number;
  v6: boolean;
  src: number;
  dst: number;
  sport: number;
  dport: number;
  syn: boolean;
}): Uint8Array => {
  const l4 = f.syn ? tcp(f.sport, f.dport, 2) : udp(f.sport, f.dport);
  const proto = f.syn ? 6 : 17;
  const frame = f.v6
    ? ethernet(0x86dd, ipv6(proto, l4))
    : ethernet(0x0800, ipv4(proto, l4, { src: f.src * 7, dst: f.dst }));
  frame[5] = f.tag;
  if (f.v6) frame[14 + 8 + 15] = f.src;
  return frame;
};
