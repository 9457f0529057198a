import { ofpactKinds } from '../ofpact-kinds.ts';
import { OFPP_UNSET } from '../../openflow/ports.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import type { XlateContext } from './context.ts';
import type { Layers } from './layers.ts';

/**
 * The action set: actions written by write_actions and executed at the end of the pipeline, in an order
 * of their own (ovs-actions(7), "write_actions").
 */
const slots: readonly number[] = [
  ofpactKinds.strip_vlan,
  ofpactKinds.pop_mpls,
  ofpactKinds.decap,
  ofpactKinds.encap,
  ofpactKinds.push_mpls,
  ofpactKinds.push_vlan,
  ofpactKinds.dec_ttl,
  ofpactKinds.dec_mpls_ttl,
  ofpactKinds.dec_nsh_ttl,
];

/** Rank of the action that ends the set, 0 = none of them; the highest wins, of equals the last. */
function finalRank(kind: number): number {
  switch (kind) {
    case ofpactKinds.ct:
      return 1;
    case ofpactKinds.resubmit:
      return 2;
    case ofpactKinds.output:
      return 3;
    case ofpactKinds.group:
      return 4;
    default:
      return 0;
  }
}

function isSetOrMove(kind: number): boolean {
  switch (kind) {
    case ofpactKinds.set_field:
    case ofpactKinds.reg_move:
    case ofpactKinds.set_eth_src:
    case ofpactKinds.set_eth_dst:
    case ofpactKinds.set_ipv4_src:
    case ofpactKinds.set_ipv4_dst:
    case ofpactKinds.set_ip_dscp:
    case ofpactKinds.set_ip_ecn:
    case ofpactKinds.set_ip_ttl:
    case ofpactKinds.set_l4_src_port:
    case ofpactKinds.set_l4_dst_port:
    case ofpactKinds.set_mpls_label:
    case ofpactKinds.set_mpls_tc:
    case ofpactKinds.set_mpls_ttl:
    case ofpactKinds.set_queue:
    case ofpactKinds.set_tunnel:
    case ofpactKinds.set_vlan_pcp:
    case ofpactKinds.set_vlan_vid:
      return true;
    default:
      return false;
  }
}

/** write_actions: adds a list (word address) to the set; actset_output follows. */
export function writeActions(ctx: XlateContext, at: number, words: number): void {
  const { u32 } = ctx;
  for (let p = at; p < at + words && !ctx.actionSetHasGroup; p += (u32[p] ?? 0x10000) >>> 16) {
    const kind = (u32[p] ?? 0) & 0xffff;
    if (kind === ofpactKinds.output) ctx.dv.setUint32(ctx.flow + K.actsetOutput, u32[p + 1] ?? 0);
    else if (kind === ofpactKinds.group) {
      ctx.dv.setUint32(ctx.flow + K.actsetOutput, OFPP_UNSET);
      ctx.actionSetHasGroup = true;
    }
  }
  ctx.actionSet.push(at);
  ctx.actionSet.push(words);
}

/** Place of the last action of each slot, 0 = none: scratch of `actionSetOrder`. */
const $last = new Uint32Array(slots.length);

/** Writes the set as the list in which it is executed: positions (word addresses) of its actions. */
export function actionSetOrder(ctx: XlateContext, order: Layers<number>): void {
  const { u32, actionSet } = ctx;
  $last.fill(0);
  let final = 0;
  let rank = 0;
  for (let i = 0; i < actionSet.length; i += 2) {
    const to = actionSet.at(i) + actionSet.at(i + 1);
    for (let p = actionSet.at(i); p < to; p += (u32[p] ?? 0x10000) >>> 16) {
      const kind = (u32[p] ?? 0) & 0xffff;
      const slot = slots.indexOf(kind);
      if (slot >= 0) $last[slot] = p;
      const r = finalRank(kind);
      if (r > 0 && r >= rank) {
        rank = r;
        final = p;
      }
    }
  }
  if (final === 0) return;
  for (let slot = 0; slot < slots.length; slot++) {
    const p = $last[slot] ?? 0;
    if (p !== 0) order.push(p);
  }
  for (let i = 0; i < actionSet.length; i += 2) {
    const to = actionSet.at(i) + actionSet.at(i + 1);
    for (let p = actionSet.at(i); p < to; p += (u32[p] ?? 0x10000) >>> 16) {
      const kind = (u32[p] ?? 0) & 0xffff;
      if (!slots.includes(kind) && isSetOrMove(kind)) order.push(p);
    }
  }
  order.push(final);
}
