/** Ethernet addresses as text: `aa:bb:cc:dd:ee:ff`. */
export function formatMac(mac: Uint8Array): string {
  return Array.from(mac.subarray(0, 6), (b) => b.toString(16).padStart(2, '0')).join(':');
}

/** @returns Six bytes, or null when the text is no address. */
export function parseMac(text: string): Uint8Array | null {
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text)) return null;
  return Uint8Array.from(text.split(':'), (part) => parseInt(part, 16));
}
