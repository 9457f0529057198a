/** Tables in text: numbers (names of tables come with a later version). */

/** 0-255, or undefined. */
export function parseTableId(text: string): number | undefined {
  if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return undefined;
  const n = /^0\d/.test(text) ? parseInt(text, 8) : Number(text);
  return n <= 255 ? n : undefined;
}
