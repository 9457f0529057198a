/** Reserved port numbers are 32 bits wide inside, and shown in OpenFlow 1.0's 16 bits. */
export function shownPort(ofport: number): number {
  return ofport >= 0xffff_ff00 ? ofport & 0xffff : ofport;
}
