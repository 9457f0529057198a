import { expect, it } from 'vitest';
import { ovsNameOrder } from './port-order.ts';

it('visits names as OVS 3.1 does', () => {
  // The order of their numbers after all were added in one transaction. p2 and p8 share a bucket, and so
  // do p9 and x1: among them it depends on the order of insertion.
  const names = ['br0', 'i1', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p8', 'p9', 'x1'];
  const seen = ['p1', 'p8', 'p2', 'x1', 'p9', 'i1'];
  expect(ovsNameOrder(names, (n) => n).filter((n) => seen.includes(n))).toEqual(seen);
  expect(ovsNameOrder([...names].reverse(), (n) => n).filter((n) => seen.includes(n))).toEqual(['p1', 'p8', 'p2', 'p9', 'x1', 'i1']);
});
