/**
 * Ofpact words: a list of actions as u32 words in the arena.
 *
 * What: each action is a header `kind | lengthWords << 16` (length with header), then its arguments. Byte
 * strings are a length in bytes and the bytes, padded; 64-bit numbers are high and low word; a subfield is
 * the field's number in the registry and `ofs | nBits << 16`; nested lists are a length in words and the list.
 * Why: rules are shared by threads, so their actions cannot be objects; the translator walks the words
 * without making any (translate/actions.ts). An action longer than 65,535 words cannot occur: OpenFlow's
 * messages end at 64 KiB.
 */
export { encodeOfpacts } from './ofpact-encode.ts';
export { decodeOfpacts } from './ofpact-decode.ts';
export { reasonNumbers } from './ofpact-io.ts';
