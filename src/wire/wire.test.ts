import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../util/errors.ts';
import {
  formatIpv4,
  formatIpv6,
  formatMac,
  parseIpv4 as parseIp4Text,
  parseIpv6 as parseIp6Text,
  parseMac,
  prefixLength,
  prefixMask,
} from './address.ts';
import {
  arp,
  ethernet,
  icmpEcho,
  icmpv6Echo,
  ipv4,
  ipv6,
  neighborAdvert,
  neighborSolicit,
  tcp,
  udp,
} from './build.ts';
import { checksum } from './checksum.ts';
import { parseHex } from './hex.ts';
import { parseArp, parseEthernet, parseIpv4, parseIpv6 } from './parse.ts';
import { decodePcap, encodePcap } from './pcap.ts';
import { expectArp, expectEthernet, expectIp, expectIpv4 } from './testing/expect-packet.ts';

const a = Uint8Array.of(2, 0, 0, 0, 0, 1);
const b = Uint8Array.of(2, 0, 0, 0, 0, 2);
const ip1 = Uint8Array.of(10, 0, 0, 1);
const ip2 = Uint8Array.of(10, 0, 0, 2);

describe('addresses', () => {
  it('round trip', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.integer({ min: 0, max: 0xff }),
        (bytes, keep) => {
          // Zeroed words make the :: cases.
          const ip = bytes.map((v, i) => (((keep >>> (i >>> 1)) & 1) === 0 ? 0 : v));
          expect(parseIp6Text(formatIpv6(ip))).toEqual(ip);
          expect(parseIp4Text(formatIpv4(ip))).toEqual(ip.slice(0, 4));
          expect(parseMac(formatMac(ip))).toEqual(ip.slice(0, 6));
        },
      ),
    );
  });

  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['1:0:0:2::3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['::1.2.3.4', '::1.2.3.4'],
    ['FE80::ABCD', 'fe80::abcd'],
    ['::2:0', '::0.2.0.0'],
  ])('%s', (text, printed) => {
    // prettier-ignore
    expect(formatIpv6(parseIp6Text(text) ?? new Uint8Array(16))).toBe(printed);
  });

  it.each(['', ':', ':::', '1:2:3', '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', '::1.2.3.400', 'g::'])(
    '%s is none',
    (text) => {
      expect(parseIp6Text(text)).toBeUndefined();
    },
  );

  it('counts prefixes', () => {
    for (let n = 0; n <= 128; n++) expect(prefixLength(prefixMask(n, 16))).toBe(n);
    expect(prefixLength(Uint8Array.of(255, 0, 1, 0))).toBe(-1);
    expect(prefixLength(Uint8Array.of(0xf1, 0))).toBe(-1);
  });
});

describe('packets', () => {
  it('built and parsed', () => {
    const frame = ethernet(
      { dst: b, src: a, vlans: [{ tci: 10 }] },
      ipv4({ src: ip1, dst: ip2, ttl: 7, tos: 4 }, udp(5, 6, Uint8Array.of(1, 2, 3))),
    );
    const payload = expectEthernet(frame, {
      dst: formatMac(b),
      src: formatMac(a),
      vlans: [10],
      ethertype: 0x800,
    });
    const segment = expectIp(payload, { src: '10.0.0.1', dst: '10.0.0.2', ttl: 7, tos: 4, protocol: 17 });
    expect([...segment.subarray(8)]).toEqual([1, 2, 3]);
    expect(() => expectIp(payload, { ttl: 8 })).toThrow('IPv4 ttl is 7, not 8');
    const spoilt = payload.slice();
    spoilt[25] = (spoilt[25] ?? 0) ^ 1;
    expect(() => expectIp(spoilt, {})).toThrow('transport checksum is wrong');
  });

  it('answers ARP', () => {
    const bytes = arp({ operation: 2, senderMac: a, senderIp: ip1, targetMac: b, targetIp: ip2 }).bytes;
    expectArp(bytes, { operation: 2, senderMac: formatMac(a), senderIp: '10.0.0.1', targetIp: '10.0.0.2' });
  });

  it('has right checksums for every transport', () => {
    const six1 = parseIp6Text('fe80::1') ?? a;
    const six2 = parseIp6Text('fe80::2') ?? a;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        const echo = { reply: false, identifier: 3, sequence: 4 };
        for (const s of [udp(1, 2, data), tcp({ src: 1, dst: 2, flags: 0x12 }, data)]) {
          expectIp(ipv6({ src: six1, dst: six2 }, s).bytes, { ttl: 64 });
          expectIpv4(ethernet({ dst: b, src: a }, ipv4({ src: ip1, dst: ip2 }, s)), { ttl: 64 });
        }
        expectIp(ipv4({ src: ip1, dst: ip2 }, icmpEcho(echo, data)).bytes, { protocol: 1 });
        for (const s of [icmpv6Echo(echo, data), neighborSolicit(six2, a), neighborAdvert(six2, a)]) {
          expectIp(ipv6({ src: six1, dst: six2, hopLimit: 255 }, s).bytes, { ttl: 255, protocol: 58 });
        }
      }),
      { numRuns: 50 },
    );
  });

  it('throws nothing but WireError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const parse of [parseEthernet, parseArp, parseIpv4, parseIpv6, decodePcap]) {
          try {
            parse(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('sums as RFC 1071 does', () => {
    expect(checksum(parseHex('0001 f203 f4f5 f6f7') ?? a, 0, 8)).toBe(~0xddf2 & 0xffff);
    expect(parseHex('0')).toBeUndefined();
    expect(parseHex('zz')).toBeUndefined();
  });
});

describe('pcap', () => {
  it('round trip', () => {
    const packets = [
      { timeMs: 1700000000123, bytes: Uint8Array.of(1, 2, 3) },
      { timeMs: 1700000001000.5, bytes: new Uint8Array(0) },
    ];
    const bytes = encodePcap(packets);
    expect(decodePcap(bytes)).toEqual(packets);
    expect(decodePcap(bytes.subarray(0, bytes.length - 1))).toEqual(packets.slice(0, 1));
  });

  it('reads the other byte order', () => {
    const bytes = encodePcap([{ timeMs: 2000, bytes: Uint8Array.of(9) }]);
    for (const at of [0, 16, 20, 24, 28, 32, 36]) bytes.subarray(at, at + 4).reverse();
    expect(decodePcap(bytes)).toEqual([{ timeMs: 2000, bytes: Uint8Array.of(9) }]);
  });
});
