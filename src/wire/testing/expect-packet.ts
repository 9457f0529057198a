import { formatIpv4, formatIpv6, formatMac } from '../address.ts';
import { EthType } from '../ether-types.ts';
import { parseArp, parseEthernet, parseIpv4, parseIpv6 } from '../parse.ts';
import type { ParsedIp } from '../parse.ts';

/**
 * Checkers for tests: each throws a plain Error that names what differs, and returns the payload for the
 * next one: `expectUdp(expectIpv4(expectEthernet(frame, {...}), {...}), {...})`.
 */
type Wanted = Readonly<Record<string, string | number | boolean | readonly number[] | undefined>>;

function compare(what: string, got: Wanted, wanted: Wanted): void {
  for (const [name, value] of Object.entries(wanted)) {
    const actual = got[name];
    if (value !== undefined && String(actual) !== String(value)) {
      throw new Error(`${what} ${name} is ${String(actual)}, not ${String(value)}`);
    }
  }
}

export interface WantedEthernet {
  readonly dst?: string;
  readonly src?: string;
  readonly ethertype?: number;
  /** TCIs from the outside in, e.g. `[0x000a]`; [] for untagged. */
  readonly vlans?: readonly number[];
}

export function expectEthernet(frame: Uint8Array, wanted: WantedEthernet): Uint8Array {
  const p = parseEthernet(frame);
  compare(
    'Ethernet',
    {
      dst: formatMac(p.dst),
      src: formatMac(p.src),
      ethertype: p.ethertype,
      vlans: p.vlans.map((v) => v.tci),
    },
    { ...wanted },
  );
  return p.payload;
}

export interface WantedArp {
  readonly operation?: number;
  readonly senderMac?: string;
  readonly senderIp?: string;
  readonly targetMac?: string;
  readonly targetIp?: string;
}

export function expectArp(bytes: Uint8Array, wanted: WantedArp): void {
  const p = parseArp(bytes);
  compare(
    'ARP',
    {
      operation: p.operation,
      senderMac: formatMac(p.senderMac),
      senderIp: formatIpv4(p.senderIp),
      targetMac: formatMac(p.targetMac),
      targetIp: formatIpv4(p.targetIp),
    },
    { ...wanted },
  );
}

export interface WantedIp {
  readonly src?: string;
  readonly dst?: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly protocol?: number;
  /** Checked unless false: header and, where there is one, transport checksum. */
  readonly checksums?: boolean;
}

/** Checks an IPv4 or IPv6 packet, by its version; returns its payload. */
export function expectIp(bytes: Uint8Array, wanted: WantedIp): Uint8Array {
  const v6 = (bytes[0] ?? 0) >>> 4 === 6;
  const p: ParsedIp = v6 ? parseIpv6(bytes) : parseIpv4(bytes);
  const { checksums, ...rest } = wanted;
  const show = v6 ? formatIpv6 : formatIpv4;
  compare(
    v6 ? 'IPv6' : 'IPv4',
    { src: show(p.src), dst: show(p.dst), ttl: p.ttl, tos: p.tos, protocol: p.protocol },
    { ...rest },
  );
  if (checksums !== false && !p.checksumValid) throw new Error('IPv4 header checksum is wrong');
  if (checksums !== false && p.payloadChecksumValid === false) throw new Error('transport checksum is wrong');
  return p.payload;
}

export function expectIpv4(frame: Uint8Array, wanted: WantedIp): Uint8Array {
  const p = parseEthernet(frame);
  compare('Ethernet', { ethertype: p.ethertype }, { ethertype: EthType.ipv4 });
  return expectIp(p.payload, wanted);
}
