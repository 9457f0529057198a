/**
 * What may stand in a list of actions, and in which order.
 *
 * `verifyActions` holds for every version, since a flow may be read in one and written in another: the
 * order of the instructions, what may be nested in what, conjunctions alone.
 */
import { OfpError } from '../util/errors.ts';
import type { Action, ActionKind } from './actions.ts';

/** Instructions in the order in which OpenFlow 1.1+ executes them. */
const instructionOrder = [
  'meter',
  'apply_actions',
  'clear_actions',
  'write_actions',
  'write_metadata',
  'goto_table',
] as const;

function instructionRank(kind: ActionKind, version: number): number {
  if (kind === 'meter' && version >= 6) return 1;
  const rank = (instructionOrder as readonly string[]).indexOf(kind);
  return rank < 0 ? 1 : rank;
}

/** Names under which OVS prints kinds of actions. */
const kindNames: Partial<Record<ActionKind, string>> = {
  set_eth_src: 'mod_dl_src',
  set_eth_dst: 'mod_dl_dst',
  set_ipv4_src: 'mod_nw_src',
  set_ipv4_dst: 'mod_nw_dst',
  set_ip_dscp: 'mod_nw_tos',
  set_ip_ecn: 'mod_nw_ecn',
  set_ip_ttl: 'mod_nw_ttl',
  set_l4_src_port: 'mod_tp_src',
  set_l4_dst_port: 'mod_tp_dst',
  reg_move: 'move',
  stack_push: 'push',
  stack_pop: 'pop',
};

/** OVS's name of a kind of action, as in its error texts. */
function actionName(kind: ActionKind): string {
  return kindNames[kind] ?? kind;
}

/** A broken rule: `code` for the wire, `message` for people. */
function fail(code: string, message: string): never {
  throw new OfpError(code, message);
}

function writtenField(a: Action): string | undefined {
  if (a.kind === 'set_field') return a.field.name;
  return a.kind === 'reg_move' ? a.dst.field.name : undefined;
}

function verifyNested(a: Action, outer: 'ct' | 'clone' | 'write_actions' | undefined): void {
  const field = writtenField(a);
  const isCtField = field === 'ct_mark' || field === 'ct_label';
  if (isCtField && outer !== 'ct') {
    fail('OFPBAC_BAD_SET_ARGUMENT', 'cannot set CT fields outside of ct action');
  }
  if (a.kind === 'nat') {
    if (outer !== 'ct') fail('OFPBAC_BAD_SET_ARGUMENT', 'Cannot have NAT action outside of "ct" action');
    return;
  }
  const unsupported = (): never =>
    fail('OFPBAC_BAD_ARGUMENT', `${outer ?? ''} action doesn't support nested action ${actionName(a.kind)}`);
  if (outer === 'ct') {
    if (field === undefined) unsupported();
    else if (!isCtField) {
      fail('OFPBAC_BAD_ARGUMENT', `ct action doesn't support nested modification of ${field}`);
    }
  }
  if (outer !== undefined && a.kind === 'meter') unsupported();
}

/**
 * @param allowInstructions Whether instructions other than apply_actions (and meter) may appear.
 * @param outer The action that these are nested in.
 * @throws OfpError whose message is what ovs-ofctl prints.
 */
export function verifyActions(
  actions: readonly Action[],
  version: number,
  allowInstructions: boolean,
  outer?: 'ct' | 'clone' | 'write_actions',
): void {
  let last = 0;
  for (const [i, a] of actions.entries()) {
    if (a.kind === 'conjunction') {
      const other = actions.find((x) => x.kind !== 'conjunction' && x.kind !== 'note');
      if (other) {
        fail(
          'NXBAC_BAD_CONJUNCTION',
          '"conjunction" actions may be used along with "note" but not any other kind of action ' +
            `(such as the "${actionName(other.kind)}" action used here)`,
        );
      }
      return;
    }
    verifyNested(a, outer);
    const rank = instructionRank(a.kind, version);
    if (i > 0 && (last === 1 ? rank < last : rank <= last)) {
      const name = instructionOrder[last] ?? '';
      if (rank === last) {
        fail(
          'OFPBAC_UNSUPPORTED_ORDER',
          `duplicate ${name} instruction not allowed, for OpenFlow 1.1+ compatibility`,
        );
      }
      fail(
        'OFPBAC_UNSUPPORTED_ORDER',
        `invalid instruction ordering: ${instructionOrder[rank] ?? ''} must appear before ${name}, ` +
          'for OpenFlow 1.1+ compatibility',
      );
    }
    if (!allowInstructions && rank > 1) {
      fail('OFPBIC_UNSUP_INST', `${instructionOrder[rank] ?? ''} instruction not allowed here`);
    }
    last = rank;
  }
}

/** Actions of an action set that only count once, in the order in which they are executed. */
const slotOrder: readonly ActionKind[] = [
  'strip_vlan',
  'pop_mpls',
  'decap',
  'encap',
  'push_mpls',
  'push_vlan',
  'dec_ttl',
  'dec_mpls_ttl',
  'dec_nsh_ttl',
];
/** Those of which the last in this list is the only one executed. */
const finalOrder: readonly ActionKind[] = ['ct', 'ct_clear', 'resubmit', 'output', 'group'];

const setOrMove: ReadonlySet<ActionKind> = new Set<ActionKind>([
  'set_field',
  'reg_move',
  'set_eth_dst',
  'set_eth_src',
  'set_ip_dscp',
  'set_ip_ecn',
  'set_ip_ttl',
  'set_ipv4_dst',
  'set_ipv4_src',
  'set_l4_dst_port',
  'set_l4_src_port',
  'set_mpls_label',
  'set_mpls_tc',
  'set_mpls_ttl',
  'set_queue',
  'set_tunnel',
  'set_vlan_pcp',
  'set_vlan_vid',
]);

/** Whether write_actions may hold the action. */
export function isAllowedInActionSet(a: Action): boolean {
  return slotOrder.includes(a.kind) || finalOrder.includes(a.kind) || setOrMove.has(a.kind);
}
