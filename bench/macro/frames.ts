import { closeSync, openSync, writeSync } from 'node:fs';

/** Bytes of a frame without its checksum sequence: 64 bytes on a wire. */
export const frameLength = 60;

export interface FrameFields {
  readonly dlDst?: number;
  readonly dlSrc?: number;
  readonly nwSrc: number;
  readonly tpSrc: number;
}

/** To this address go all frames of the bench. */
export const nwDst = 0x0b00_0001;
export const nwDstText = '11.0.0.1';

const template = Uint8Array.of(
  2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
  0x45, 0, 0, frameLength - 14, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 11, 0, 0, 1,
  0, 0, 0, 53, 0, frameLength - 34, 0, 0,
); // prettier-ignore

// Sum of the template's IPv4 header, whose source address is zero.
const headerSum = Array.from({ length: 10 }, (_, i) => i).reduce(
  (sum, i) => sum + ((template[14 + 2 * i] ?? 0) << 8) + (template[15 + 2 * i] ?? 0),
  0,
);

/** RFC 1071 over the IPv4 header of a frame with this source address. */
function headerChecksum(nwSrc: number): number {
  let sum = headerSum + (nwSrc >>> 16) + (nwSrc & 0xffff);
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  return ~sum & 0xffff;
}

/** Writes a 48-bit address. */
function setMac(view: DataView, at: number, mac: number): void {
  view.setUint16(at, Math.floor(mac / 2 ** 32));
  view.setUint32(at + 2, mac >>> 0);
}

/**
 * Writes a pcap file (Ethernet, microseconds) of `count` UDP frames of 60 bytes; frame `i` has the
 * fields that `fields(i)` says. Both switches replay the same file.
 */
export function writePcap(path: string, count: number, fields: (i: number) => FrameFields): void {
  const fd = openSync(path, 'w');
  const head = new DataView(new ArrayBuffer(24));
  head.setUint32(0, 0xa1b2c3d4, true);
  head.setUint16(4, 2, true);
  head.setUint16(6, 4, true);
  head.setUint32(16, 65_535, true);
  head.setUint32(20, 1, true);
  writeSync(fd, head);
  const record = 16 + frameLength;
  const chunk = 8192;
  const bytes = new Uint8Array(chunk * record);
  const view = new DataView(bytes.buffer);
  for (let first = 0; first < count; first += chunk) {
    const n = Math.min(chunk, count - first);
    for (let i = 0; i < n; i++) {
      const at = i * record;
      const f = fields(first + i);
      view.setUint32(at + 8, frameLength, true);
      view.setUint32(at + 12, frameLength, true);
      bytes.set(template, at + 16);
      if (f.dlDst !== undefined) setMac(view, at + 16, f.dlDst);
      if (f.dlSrc !== undefined) setMac(view, at + 22, f.dlSrc);
      view.setUint16(at + 16 + 24, headerChecksum(f.nwSrc));
      view.setUint32(at + 16 + 26, f.nwSrc);
      view.setUint16(at + 16 + 34, f.tpSrc);
    }
    writeSync(fd, bytes, 0, n * record);
  }
  closeSync(fd);
}
