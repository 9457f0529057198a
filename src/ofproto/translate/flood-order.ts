import { hashOfpPort, hmapOrder } from '../../util/hmap-order.ts';
import type { XBridge, XPort } from '../snapshot.ts';

const orders = new WeakMap<XBridge, readonly XPort[]>();

/** The order in which FLOOD and ALL visit ports: that of OVS's table of them. */
export function floodOrder(bridge: XBridge): readonly XPort[] {
  let order = orders.get(bridge);
  if (order === undefined) {
    order = hmapOrder(bridge.ports, (p) => hashOfpPort(p.ofp));
    orders.set(bridge, order);
  }
  return order;
}
