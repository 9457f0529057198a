/**
 * The side-effect list of a translation (OVS's xlate cache), as words in the arena.
 *
 * What: records `kind | lengthWords << 16, arguments`. Translation writes the list while it performs or
 * skips the effects; a megaflow keeps a copy, and the revalidator replays it with later statistics
 * (xcache-replay.ts). Rules in a kept list are referenced, so that their addresses stay
 * good; bridges and ports are named by number, since they may be gone at the replay.
 * Order: a list is replayed from front to back.
 */
export const xcacheKinds = {
  /** rule: credit packets and bytes to it. */
  rule: 1,
  /** bridge id, table id | 0x100 if it matched. */
  table: 2,
  /** bridge id, ofp in_port, vlan, grat ARP, MAC bytes 0-3, MAC bytes 4-5: refresh the MAC entry. */
  normal: 3,
  /** bridge id and ofp port of the sending patch port, the same of the receiving one. */
  patch: 4,
  /** rule, idle | hard << 16: shorten its time-outs once FIN or RST is seen. */
  finTimeout: 5,
} as const;
