import type { VlogRecord } from '../../util/log.ts';

/** Kinds of records in the event rings from workers to main. */
export const eventKinds = {
  log: 1,
  packetIn: 2,
  /** A port's device failed under a PMD: `odpPort` and text, as JSON. */
  portFault: 3,
} as const;

const $encoder = new TextEncoder();
const $decoder = new TextDecoder();

export function encodeLogRecord(record: VlogRecord): Uint8Array {
  return $encoder.encode(JSON.stringify(record));
}

export function decodeLogRecord(bytes: Uint8Array): VlogRecord {
  return JSON.parse($decoder.decode(bytes.slice())) as VlogRecord;
}
