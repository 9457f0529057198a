import { ofpactKinds } from '../ofpact-kinds.ts';
import { OFPP_UNSET } from '../../openflow/ports.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import type { XlateContext } from './context.ts';

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
  ctx.actionSet.push(at, words);
}

/** The set as the list in which it is executed: positions (word addresses) of its actions. */
export function actionSetOrder(ctx: XlateContext): number[] {
  const { u32 } = ctx;
  const last = new Array<number>(slots.length).fill(0);
  const middle: number[] = [];
  let final = 0;
  let rank = 0;
  for (let i = 0; i < ctx.actionSet.length; i += 2) {
    const from = ctx.actionSet[i] ?? 0;
    const to = from + (ctx.actionSet[i + 1] ?? 0);
    for (let p = from; p < to; p += (u32[p] ?? 0x10000) >>> 16) {
      const kind = (u32[p] ?? 0) & 0xffff;
      const slot = slots.indexOf(kind);
      if (slot >= 0) last[slot] = p;
      else if (isSetOrMove(kind)) middle.push(p);
      const r = finalRank(kind);
      if (r > 0 && r >= rank) {
        rank = r;
        final = p;
      }
    }
  }
  if (final === 0) return [];
  return [...last.filter((p) => p !== 0), ...middle, final];
}
