import { clsFirst, clsNext } from './classifier';
import { Rule } from './generated/rule';
import { ruleRef, ruleUnref } from './rule';
import { maskBits, ruleMatchesLooseBits } from './rule-match';

/** Selections of many rules at once: what a loose flow_mod or a statistics request is about. */

/** Above this priority rules are the switch's own, which requests do not see. */
// @ts-ignore: decorator
@inline const VISIBLE_MAX: i32 = 0xffff;

/**
 * Rules of a classifier that match loosely (see ruleMatchesLoose) and whose cookie agrees with
 * `query` {u64 cookie, u64 mask}: their addresses, in order of insertion, to `out`, at most `max`. With
 * `hold` each gets a reference. Returns how many.
 */
export function clsSelect(cls: usize, flow: usize, mask: usize, query: usize, out: usize, max: u32, hold: bool): u32 {
  const bits = maskBits(mask);
  const cookie = load<u64>(query);
  const cookieMask = load<u64>(query, 8);
  let n: u32 = 0;
  for (let rule = clsFirst(cls); rule != 0 && n < max; rule = clsNext(cls, rule)) {
    if (load<i32>(rule, Rule.priority) > VISIBLE_MAX) continue;
    if (cookieMask != 0 && ((load<u64>(rule, Rule.cookie) ^ cookie) & cookieMask) != 0) continue;
    if (bits != 0 && !ruleMatchesLooseBits(rule, flow, mask, bits)) continue;
    store<u32>(out + (<usize>n << 2), <u32>rule);
    if (hold) ruleRef(rule);
    n++;
  }
  return n;
}

/** Adds up the statistics of `n` rules: {u64 packets, u64 bytes} at `sum` grow. */
export function rulesSum(list: usize, n: u32, sum: usize): void {
  let packets = load<u64>(sum);
  let bytes = load<u64>(sum, 8);
  for (let i: usize = 0; i < <usize>n; i++) {
    const rule = <usize>load<u32>(list + (i << 2));
    packets += atomic.load<u64>(rule + Rule.packets);
    bytes += atomic.load<u64>(rule + Rule.bytes);
  }
  store<u64>(sum, packets);
  store<u64>(sum, bytes, 8);
}

/** Drops a reference of each of `n` rules. */
export function rulesUnref(list: usize, n: u32): void {
  for (let i: usize = 0; i < <usize>n; i++) ruleUnref(<usize>load<u32>(list + (i << 2)));
}
