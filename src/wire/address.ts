/** Text of Ethernet, IPv4 and IPv6 addresses, as OVS (and inet_ntop) print and read them. */

const hexDigits = '0123456789abcdef';

function hex2(byte: number): string {
  return (hexDigits[(byte >>> 4) & 15] ?? '') + (hexDigits[byte & 15] ?? '');
}

/** Lower-case hex digits of bytes, without separators. */
export function formatHex(bytes: Uint8Array): string {
  let s = '';
  for (const b of bytes) s += hex2(b);
  return s;
}

/** Six bytes at `at` as `xx:xx:xx:xx:xx:xx`. */
export function formatMac(bytes: Uint8Array, at = 0): string {
  let s = hex2(bytes[at] ?? 0);
  for (let i = 1; i < 6; i++) s += `:${hex2(bytes[at + i] ?? 0)}`;
  return s;
}

/** Four bytes at `at` as a dotted quad. */
export function formatIpv4(bytes: Uint8Array, at = 0): string {
  return `${bytes[at] ?? 0}.${bytes[at + 1] ?? 0}.${bytes[at + 2] ?? 0}.${bytes[at + 3] ?? 0}`;
}

/** A u32 as a dotted quad. */
export function formatIpv4Number(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** Sixteen bytes at `at` in the form of inet_ntop(3). */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const words: number[] = [];
  for (let i = 0; i < 8; i++) words.push(((bytes[at + 2 * i] ?? 0) << 8) | (bytes[at + 2 * i + 1] ?? 0));
  let bestAt = -1;
  let bestLength = 1;
  for (let i = 0; i < 8;) {
    let n = 0;
    while (i + n < 8 && words[i + n] === 0) n++;
    if (n > bestLength) {
      bestAt = i;
      bestLength = n;
    }
    i += n > 0 ? n : 1;
  }
  let s = '';
  for (let i = 0; i < 8; i++) {
    if (i === bestAt) {
      s += i === 0 ? '::' : ':';
      i += bestLength - 1;
      continue;
    }
    // inet_ntop prints ::a.b.c.d and ::ffff:a.b.c.d with a dotted tail.
    if (i === 6 && bestAt === 0 && (bestLength === 6 || (bestLength === 5 && words[5] === 0xffff))) {
      return s + formatIpv4(bytes, at + 12);
    }
    s += (words[i] ?? 0).toString(16);
    if (i < 7) s += ':';
  }
  return s;
}

/** Reads `xx:xx:xx:xx:xx:xx` (one or two hex digits each); undefined when it is something else. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (p) => parseInt(p, 16));
}

/** Reads a dotted quad. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!m) return undefined;
  const parts = m.slice(1).map(Number);
  return parts.every((p) => p < 256) ? Uint8Array.from(parts) : undefined;
}

/** Reads an IPv6 address as inet_pton(3) does. */
export function parseIpv6(text: string): Uint8Array | undefined {
  let t = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(t);
  if (dotted) {
    const v4 = parseIpv4(dotted[2] ?? '');
    if (!v4) return undefined;
    const w = (i: number) => (((v4[i] ?? 0) << 8) | (v4[i + 1] ?? 0)).toString(16);
    t = `${dotted[1] ?? ''}${w(0)}:${w(2)}`;
  }
  const halves = t.split('::');
  if (halves.length > 2) return undefined;
  const words = (half: string | undefined): string[] => (half ? half.split(':') : []);
  const head = words(halves[0]);
  const tail = words(halves[1]);
  const all = [...head, ...tail];
  if (!all.every((w) => /^[0-9a-fA-F]{1,4}$/.test(w))) return undefined;
  if (halves.length === 2 ? all.length > 7 : all.length !== 8) return undefined;
  const out = new Uint8Array(16);
  const put = (i: number, w: string): void => {
    const v = parseInt(w, 16);
    out[2 * i] = v >>> 8;
    out[2 * i + 1] = v & 255;
  };
  head.forEach((w, i) => {
    put(i, w);
  });
  tail.forEach((w, i) => {
    put(8 - tail.length + i, w);
  });
  return out;
}

/**
 * Length of a prefix mask.
 *
 * @returns Number of leading ones, or -1 when a one follows a zero.
 */
export function prefixLength(mask: Uint8Array, at = 0, length = mask.length - at): number {
  let n = 0;
  let i = at;
  while (i < at + length && mask[i] === 0xff) {
    n += 8;
    i++;
  }
  if (i === at + length) return n;
  let b = mask[i] ?? 0;
  while ((b & 0x80) !== 0) {
    n++;
    b = (b << 1) & 0xff;
  }
  if (b !== 0) return -1;
  for (i++; i < at + length; i++) if (mask[i] !== 0) return -1;
  return n;
}

/** A mask of `length` bytes that starts with `nBits` ones. */
export function prefixMask(nBits: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => {
    const n = Math.min(8, Math.max(0, nBits - 8 * i));
    return (0xff << (8 - n)) & 0xff;
  });
}
