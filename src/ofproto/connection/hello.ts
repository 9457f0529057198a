/**
 * Hello messages and version sets. A set of versions is a bitmap: bit n = wire version n.
 *
 * Below the codecs of src/openflow on purpose: hellos are exchanged before there is a version, and
 * must be understood from peers whose versions we do not speak.
 */
const versionNames: readonly (readonly [number, string, string])[] = [
  [1, 'OpenFlow10', '0x01'],
  [2, 'OpenFlow11', '0x02'],
  [3, 'OpenFlow12', '0x03'],
  [4, 'OpenFlow13', '0x04'],
  [5, 'OpenFlow14', '0x05'],
  [6, 'OpenFlow15', '0x06'],
];

/** Version bitmap of names as in Bridge.protocols; unknown names are skipped. */
export function versionsFromNames(names: readonly string[]): number {
  let bitmap = 0;
  for (const name of names) {
    const found = versionNames.find(([, text]) => text.toLowerCase() === name.toLowerCase());
    if (found !== undefined) bitmap |= 1 << found[0];
  }
  return bitmap;
}

/** Wire numbers as OVS prints a set: `version 0x01`, `versions 0x01, 0x04`, `version 0x06 and earlier`. */
export function formatVersions(bitmap: number): string {
  const numbers: string[] = [];
  for (let v = 1; v < 32; v++) if (bitmap & (1 << v)) numbers.push(`0x${v.toString(16).padStart(2, '0')}`);
  if (numbers.length === 0) return 'no versions';
  if (numbers.length === 1) return `version ${numbers[0] ?? ''}`;
  const isPrefix = (((bitmap >>> 1) + 1) & (bitmap >>> 1)) === 0;
  if (isPrefix) return `version ${numbers[numbers.length - 1] ?? ''} and earlier`;
  return `versions ${numbers.join(', ')}`;
}

export function highestVersion(bitmap: number): number {
  return 31 - Math.clz32(bitmap);
}

/** A hello for a version set; the bitmap element is left out where the version field says it all. */
export function encodeHello(allowedVersions: number, xid: number): Uint8Array {
  const contiguous = (((allowedVersions >>> 1) + 1) & (allowedVersions >>> 1)) === 0;
  const bytes = new Uint8Array(contiguous ? 8 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, highestVersion(allowedVersions));
  view.setUint16(2, bytes.length);
  view.setUint32(4, xid);
  if (!contiguous) {
    view.setUint16(8, 1);
    view.setUint16(10, 8);
    view.setUint32(12, allowedVersions);
  }
  return bytes;
}

/** The versions that a hello offers; without a valid bitmap element all up to its version field. */
export function helloVersions(message: Uint8Array): number {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  for (let at = 8; at + 4 <= message.length;) {
    const type = view.getUint16(at);
    const length = view.getUint16(at + 2);
    if (length < 4 || at + length > message.length) break;
    if (type === 1 && length >= 8) {
      const bitmap = view.getUint32(at + 4) & 0xfffffffe;
      if (bitmap !== 0) return bitmap;
    }
    at += (length + 7) & ~7;
  }
  const version = Math.min(view.getUint8(0), 30);
  return version === 0 ? 0 : (2 << version) - 2;
}

/** OFPET_HELLO_FAILED / OFPHFC_INCOMPATIBLE with an explanation, xid 0 as OVS sends it. */
export function encodeHelloFailed(version: number, text: string): Uint8Array {
  const bytes = new Uint8Array(12 + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint8(1, 1);
  view.setUint16(2, bytes.length);
  for (let i = 0; i < text.length; i++) bytes[12 + i] = text.charCodeAt(i);
  return bytes;
}
