import type { Random } from '../../util/random.ts';

/** Frames for tests, benchmarks and the fuzz corpus, built from parts; lengths and checksums are right. */

export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const be16 = (v: number): number[] => [(v >>> 8) & 255, v & 255];
const be32 = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

/** One's complement sum of big-endian words, folded, not complemented. */
function sum16(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

export interface EthernetOptions {
  readonly dst?: readonly number[];
  readonly src?: readonly number[];
  /** Tags, outer first: [TPID, TCI]. */
  readonly tags?: readonly (readonly [number, number])[];
}

export function ethernet(type: number, payload: Uint8Array, options: EthernetOptions = {}): Uint8Array {
  const tags = (options.tags ?? []).flatMap(([tpid, tci]) => [...be16(tpid), ...be16(tci)]);
  const dst = options.dst ?? [0x50, 0x54, 0, 0, 0, 2];
  const src = options.src ?? [0x50, 0x54, 0, 0, 0, 1];
  return concat(dst, src, tags, be16(type), payload);
}

export interface Ipv4Options {
  readonly src?: number;
  readonly dst?: number;
  readonly tos?: number;
  readonly ttl?: number;
  /** Flags and fragment offset. */
  readonly fragment?: number;
  /** IP options, a multiple of 4 bytes. */
  readonly options?: readonly number[];
}

/** An IPv4 packet; the L4 checksum of TCP and UDP is filled in unless it is a later fragment. */
export function ipv4(proto: number, payload: Uint8Array, o: Ipv4Options = {}): Uint8Array {
  const options = o.options ?? [];
  const src = be32(o.src ?? 0x0a000001);
  const dst = be32(o.dst ?? 0x0a000002);
  const header = concat(
    [0x45 + options.length / 4, o.tos ?? 0],
    be16(20 + options.length + payload.length),
    [0x12, 0x34],
    be16(o.fragment ?? 0),
    [o.ttl ?? 64, proto, 0, 0],
    src,
    dst,
    options,
  );
  header.set(be16(~sum16(header)), 10);
  if (((o.fragment ?? 0) & 0x1fff) !== 0) return concat(header, payload);
  return concat(header, withChecksum(proto, payload, concat(src, dst, [0, proto], be16(payload.length))));
}

export interface Ipv6Options {
  readonly src?: readonly number[];
  readonly dst?: readonly number[];
  readonly trafficClass?: number;
  readonly label?: number;
  readonly hopLimit?: number;
  /** Extension headers in front of the payload: [type, bytes from the second on]. */
  readonly extensions?: readonly (readonly [number, readonly number[]])[];
}

const ip6 = (last: number): number[] => [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];

/** An IPv6 packet with extension headers; the L4 checksum is filled in. */
export function ipv6(proto: number, payload: Uint8Array, o: Ipv6Options = {}): Uint8Array {
  const src = o.src ?? ip6(1);
  const dst = o.dst ?? ip6(2);
  const extensions = o.extensions ?? [];
  const types = [...extensions.map(([type]) => type), proto];
  const chain = concat(...extensions.map(([, rest], i) => [types[i + 1] ?? 0, ...rest]));
  const word = (6 << 28) | ((o.trafficClass ?? 0) << 20) | (o.label ?? 0);
  const pseudo = concat(src, dst, be32(payload.length), [0, 0, 0, proto]);
  return concat(
    be32(word),
    be16(chain.length + payload.length),
    [types[0] ?? proto, o.hopLimit ?? 64],
    src,
    dst,
    chain,
    withChecksum(proto, payload, pseudo),
  );
}

const checksumAt: Readonly<Record<number, number>> = { 1: 2, 2: 2, 6: 16, 17: 6, 58: 2 };

function withChecksum(proto: number, payload: Uint8Array, pseudo: Uint8Array): Uint8Array {
  const at = checksumAt[proto];
  if (at === undefined || payload.length < at + 2) return payload;
  const out = payload.slice();
  out.set([0, 0], at);
  const hasPseudo = proto === 6 || proto === 17 || proto === 58;
  const sum = ~sum16(out, hasPseudo ? sum16(pseudo) : 0) & 0xffff;
  out.set(be16(sum === 0 ? 0xffff : sum), at);
  return out;
}

const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + 1) & 255);

export function tcp(
  src: number,
  dst: number,
  flags = 0x10,
  length = 10,
  options: readonly number[] = [],
): Uint8Array {
  const offset = ((20 + options.length) / 4) << 12;
  return concat(
    be16(src),
    be16(dst),
    be32(1),
    be32(2),
    be16(offset | flags),
    be16(512),
    [0, 0, 0, 0],
    options,
    data(length),
  );
}

export function udp(src: number, dst: number, length = 10): Uint8Array {
  return concat(be16(src), be16(dst), be16(8 + length), [0, 0], data(length));
}

function sctp(src: number, dst: number, length = 16): Uint8Array {
  return concat(be16(src), be16(dst), be32(0x1234), be32(0), data(length));
}

function icmp(type: number, code: number, length = 12): Uint8Array {
  return concat([type, code, 0, 0], be16(1), be16(2), data(length));
}

function igmp(type: number, group: number): Uint8Array {
  return concat([type, 0, 0, 0], be32(group));
}

/** Neighbour solicitation (135) or advertisement (136); options: [type, MAC]. */
function nd(
  type: number,
  target: readonly number[],
  options: readonly (readonly [number, readonly number[]])[],
  reserved = 0,
): Uint8Array {
  return concat([type, 0, 0, 0], be32(reserved), target, ...options.map(([kind, mac]) => [kind, 1, ...mac]));
}

function arp(opcode: number, spa: number, tpa: number): Uint8Array {
  const sha = [0x50, 0x54, 0, 0, 0, 1];
  return concat([0, 1, 8, 0, 6, 4], be16(opcode), sha, be32(spa), [0, 0, 0, 0, 0, 0], be32(tpa));
}

/** A stack of labels; the last one has the bottom-of-stack bit. */
function mpls(labels: readonly number[], payload: Uint8Array): Uint8Array {
  const last = labels.length - 1;
  return concat(...labels.map((label, i) => be32((label << 12) | (i === last ? 0x100 : 0) | 64)), payload);
}

function nsh(kind: 1 | 2, next: number, payload: Uint8Array): Uint8Array {
  const words = kind === 1 ? 6 : 2;
  return concat(
    be16((1 << 12) | (63 << 6) | words),
    [kind, next],
    be32(0x123456ff),
    data(4 * words - 8),
    payload,
  );
}

function snap(type: number, payload: Uint8Array, organisation: readonly number[] = [0, 0, 0]): Uint8Array {
  return concat([0xaa, 0xaa, 3], organisation, be16(type), payload);
}

/** Named frames that reach every branch of extraction: the seed of the fuzz corpus. */
export function sampleFrames(): ReadonlyMap<string, Uint8Array> {
  const target = ip6(9);
  const mac = [2, 0, 0, 0, 0, 9];
  const inner = ipv4(17, udp(1, 2));
  const hop: readonly number[] = [0, 1, 4, 0, 0, 0, 0];
  const fragment = (offset: number): readonly number[] => [0, ...be16(offset), ...be32(77)];
  return new Map<string, Uint8Array>([
    ['tcp4', ethernet(0x0800, ipv4(6, tcp(1234, 80, 0x12)))],
    [
      'tcp4-options',
      ethernet(0x0800, ipv4(6, tcp(1234, 80, 0x02, 0, [2, 4, 5, 180]), { options: [148, 4, 0, 0] })),
    ],
    ['udp4', ethernet(0x0800, inner)],
    ['udp4-padded', concat(ethernet(0x0800, ipv4(17, udp(53, 53, 1))), new Uint8Array(17))],
    ['sctp4', ethernet(0x0800, ipv4(132, sctp(2905, 2906), { tos: 0xb8, ttl: 1 }))],
    ['icmp4', ethernet(0x0800, ipv4(1, icmp(8, 0)))],
    ['igmp4', ethernet(0x0800, ipv4(2, igmp(0x16, 0xef010203), { ttl: 1, options: [148, 4, 0, 0] }))],
    ['gre4', ethernet(0x0800, ipv4(47, data(20)))],
    ['frag4-first', ethernet(0x0800, ipv4(17, udp(1, 2, 24), { fragment: 0x2000 }))],
    ['frag4-later', ethernet(0x0800, ipv4(17, data(24), { fragment: 0x0003 }))],
    ['tcp6', ethernet(0x86dd, ipv6(6, tcp(443, 5000, 0x18), { label: 0xabcde, trafficClass: 0x2e }))],
    ['udp6', ethernet(0x86dd, ipv6(17, udp(546, 547)))],
    ['icmp6-echo', ethernet(0x86dd, ipv6(58, icmp(128, 0)))],
    ['nd-solicit', ethernet(0x86dd, ipv6(58, nd(135, target, [[1, mac]]), { hopLimit: 255 }))],
    ['nd-advert', ethernet(0x86dd, ipv6(58, nd(136, target, [[2, mac]], 0x60000000), { hopLimit: 255 }))],
    [
      'nd-both',
      ethernet(
        0x86dd,
        ipv6(
          58,
          nd(136, target, [
            [2, mac],
            [1, mac],
          ]),
          { hopLimit: 255 },
        ),
      ),
    ],
    [
      'nd-twice',
      ethernet(
        0x86dd,
        ipv6(
          58,
          nd(135, target, [
            [1, mac],
            [1, mac],
          ]),
          { hopLimit: 255 },
        ),
      ),
    ],
    ['nd-cut', ethernet(0x86dd, ipv6(58, concat([135, 0, 0, 0, 0, 0, 0, 1], data(9)), { hopLimit: 255 }))],
    ['ext6-hop', ethernet(0x86dd, ipv6(17, udp(1, 2), { extensions: [[0, hop]] }))],
    [
      'ext6-many',
      ethernet(
        0x86dd,
        ipv6(6, tcp(1, 2), {
          extensions: [
            [0, hop],
            [60, hop],
            [43, hop],
            [51, [4, ...data(22)]],
          ],
        }),
      ),
    ],
    ['frag6-first', ethernet(0x86dd, ipv6(17, udp(1, 2, 16), { extensions: [[44, fragment(1)]] }))],
    [
      'frag6-later',
      ethernet(
        0x86dd,
        ipv6(17, data(16), {
          extensions: [
            [0, hop],
            [44, fragment(0x109)],
          ],
        }),
      ),
    ],
    ['frag6-atomic', ethernet(0x86dd, ipv6(17, udp(1, 2), { extensions: [[44, fragment(0)]] }))],
    ['none6', ethernet(0x86dd, ipv6(59, new Uint8Array(0)))],
    [
      'arp-request',
      ethernet(0x0806, arp(1, 0x0a000001, 0x0a000002), { dst: [255, 255, 255, 255, 255, 255] }),
    ],
    ['arp-big-opcode', ethernet(0x0806, arp(0x1234, 0x0a000001, 0x0a000002))],
    ['rarp', ethernet(0x8035, arp(3, 0, 0))],
    ['vlan-udp4', ethernet(0x0800, inner, { tags: [[0x8100, 0x2064]] })],
    [
      'qinq-tcp4',
      ethernet(0x0800, ipv4(6, tcp(1, 2)), {
        tags: [
          [0x88a8, 0x0005],
          [0x8100, 0xe006],
        ],
      }),
    ],
    [
      'vlan3',
      ethernet(0x0800, inner, {
        tags: [
          [0x88a8, 1],
          [0x8100, 2],
          [0x8100, 3],
        ],
      }),
    ],
    ['vlan-arp', ethernet(0x0806, arp(2, 1, 2), { tags: [[0x8100, 7]] })],
    ['mpls1', ethernet(0x8847, mpls([100], inner))],
    ['mpls3', ethernet(0x8847, mpls([1, 2, 3], inner))],
    ['mpls5', ethernet(0x8848, mpls([1, 2, 3, 4, 5], inner))],
    ['mpls-endless', ethernet(0x8847, Uint8Array.from([0, 1, 0x20, 64, 0, 1, 0x30, 64, 9]))],
    ['nsh1', ethernet(0x894f, nsh(1, 1, inner))],
    ['nsh2', ethernet(0x894f, nsh(2, 3, inner))],
    ['snap-ipv4', ethernet(8 + inner.length, snap(0x0800, inner))],
    ['snap-other', ethernet(30, snap(0x0800, data(22), [0, 0, 0x0c]))],
    ['llc', ethernet(20, concat([0x42, 0x42, 3], data(35)))],
    ['lldp', ethernet(0x88cc, data(40), { dst: [1, 0x80, 0xc2, 0, 0, 0x0e] })],
    ['runt', Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8])],
    ['bare', ethernet(0x0800, new Uint8Array(0))],
  ]);
}

/** Changes a frame at random: bytes, cuts, padding, lies in lengths, other headers. Always at least one change. */
export function mutate(frame: Uint8Array, random: Random): Uint8Array {
  let out: Uint8Array = frame.slice();
  const below = (n: number): number => (n === 0 ? 0 : random.u32() % n);
  for (let changes = 1 + below(4); changes > 0; changes--) {
    switch (below(8)) {
      case 0: // any byte
        if (out.length > 0) out[below(out.length)] = below(256);
        break;
      case 1: // one bit
        if (out.length > 0) {
          const at = below(out.length);
          out[at] = (out[at] ?? 0) ^ (1 << below(8));
        }
        break;
      case 2: // cut
        out = out.slice(0, below(out.length + 1));
        break;
      case 3: // cut a little
        out = out.slice(0, Math.max(0, out.length - below(9)));
        break;
      case 4: // pad
        out = concat(
          out,
          Uint8Array.from({ length: below(12) }, () => below(256)),
        );
        break;
      case 5: {
        // another Ethertype or protocol near the front
        const types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x894f, 0x0500];
        if (out.length >= 14) out.set(be16(types[below(types.length)] ?? 0), 12);
        break;
      }
      case 6: {
        // lengths, protocols and fragment fields of an untagged IP header
        const ats = [14, 16, 17, 18, 19, 20, 21, 23];
        const at = ats[below(ats.length)] ?? 14;
        const values = [0, 1, 2, 6, 17, 41, 43, 44, 51, 58, 60, 132, 0x44, 0x45, 0x46, 0x4f, 255];
        if (at < out.length) out[at] = values[below(values.length)] ?? 0;
        break;
      }
      default: {
        // a piece twice
        const from = below(out.length + 1);
        const piece = out.slice(from, from + below(24));
        out = concat(out.slice(0, from), piece, out.slice(from));
      }
    }
  }
  return out;
}
