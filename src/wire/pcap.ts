import { WireError } from '../util/errors.ts';

/**
 * libpcap files of format 2.4 as bytes: reading either byte order, writing little-endian with
 * microseconds, Ethernet frames.
 */
export interface PcapPacket {
  /** Milliseconds since the epoch, with a fraction. */
  readonly timeMs: number;
  readonly bytes: Uint8Array;
}

const MAGIC = 0xa1b2c3d4;
const MAGIC_NS = 0xa1b23c4d;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LINK_ETHERNET = 1;
/** Longest frame that is taken from a file. */
const MAX_FRAME = 262144;

export function encodePcapHeader(snapLength = 1518): Uint8Array {
  const dv = new DataView(new ArrayBuffer(FILE_HEADER));
  dv.setUint32(0, MAGIC, true);
  dv.setUint16(4, 2, true);
  dv.setUint16(6, 4, true);
  dv.setUint32(16, snapLength, true);
  dv.setUint32(20, LINK_ETHERNET, true);
  return new Uint8Array(dv.buffer);
}

export function encodePcapRecord(packet: PcapPacket): Uint8Array {
  const out = new Uint8Array(RECORD_HEADER + packet.bytes.length);
  const dv = new DataView(out.buffer);
  dv.setUint32(0, Math.floor(packet.timeMs / 1000), true);
  dv.setUint32(4, Math.floor((packet.timeMs % 1000) * 1000), true);
  dv.setUint32(8, packet.bytes.length, true);
  dv.setUint32(12, packet.bytes.length, true);
  out.set(packet.bytes, RECORD_HEADER);
  return out;
}

export function encodePcap(packets: readonly PcapPacket[]): Uint8Array {
  const parts = [encodePcapHeader(), ...packets.map(encodePcapRecord)];
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * Reads all packets of a file; a last record that is cut off is left out.
 *
 * @throws WireError when the bytes are no pcap file of Ethernet frames, or a record lies about its length.
 */
export function decodePcap(bytes: Uint8Array): PcapPacket[] {
  if (bytes.length < FILE_HEADER) throw new WireError('BAD_PCAP', 'pcap file without a header', bytes.length);
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = dv.getUint32(0, true) === MAGIC || dv.getUint32(0, true) === MAGIC_NS;
  const magic = dv.getUint32(0, little);
  if (magic !== MAGIC && magic !== MAGIC_NS) throw new WireError('BAD_PCAP', 'not a pcap file', 0);
  if ((dv.getUint32(20, little) & 0xffff) !== LINK_ETHERNET) {
    throw new WireError('BAD_PCAP', 'pcap file of another link type than Ethernet', 20);
  }
  const perMs = magic === MAGIC_NS ? 1e6 : 1e3;
  const out: PcapPacket[] = [];
  let at = FILE_HEADER;
  while (at + RECORD_HEADER <= bytes.length) {
    const length = dv.getUint32(at + 8, little);
    if (length > MAX_FRAME) throw new WireError('BAD_PCAP', `pcap record of ${length} bytes`, at);
    if (at + RECORD_HEADER + length > bytes.length) break;
    const timeMs = dv.getUint32(at, little) * 1000 + dv.getUint32(at + 4, little) / perMs;
    out.push({ timeMs, bytes: bytes.slice(at + RECORD_HEADER, at + RECORD_HEADER + length) });
    at += RECORD_HEADER + length;
  }
  return out;
}
