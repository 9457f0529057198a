import { expect, it } from 'vitest';
import { hashOfpPort, hashString, hmapOrder } from './hmap-order.ts';

// All of them seen in OVS 3.1 after adding many ports in one transaction.
it('visits names as OVS does', () => {
  // p2 and p8 share a bucket, and so do p9 and x1: among them it depends on the order of insertion.
  const names = ['br0', 'i1', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p8', 'p9', 'x1'];
  const seen = ['p1', 'p8', 'p2', 'x1', 'p9', 'i1'];
  const order = (list: string[]): string[] => hmapOrder(list, hashString).filter((n) => seen.includes(n));
  expect(order(names)).toEqual(seen);
  expect(order(names.reverse())).toEqual(['p1', 'p8', 'p2', 'p9', 'x1', 'i1']);
});
it('visits port numbers as OVS does', () => {
  const LOCAL = 0xfffffffe;
  expect(hmapOrder([1, 2, 3, LOCAL, 4, 5, 6], hashOfpPort)).toEqual([6, 4, LOCAL, 1, 5, 2, 3]);
});
