import { Match } from '../flow/match.ts';
import { KeyLayout } from '../flow/generated/key.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowModHost } from './flow-mod.ts';
import { addInternalFlow } from './flow-mod.ts';
import { internalTable } from './flow-tables.ts';

/** Arena addresses of the switch's own rules in table 254; packets that end there are counted by them. */
export interface HiddenRules {
  /** Missed, to the controllers. */
  readonly miss: number;
  /** Missed on a port with NO_PACKET_IN, or nobody wants it: dropped. */
  readonly noPacketIn: number;
  /** Fragments under OFPC_FRAG_DROP. */
  readonly dropFrags: number;
}

/** Puts the internal rules into a fresh table 254: one for each id in reg0, and a guard against lost lookups. */
export function addHiddenRules(host: FlowModHost): HiddenRules {
  const toController: Action = {
    kind: 'controller',
    maxLen: 0xffff,
    reason: 'implicit_miss',
    controllerId: 0,
    pause: false,
    userdata: new Uint8Array(0),
    meterId: 0,
  };
  const byId = (id: number, actions: readonly Action[]): number => {
    const match = new Match();
    setBe32(match, KeyLayout.regs, id);
    return addInternalFlow(host, internalTable, match, 0, actions);
  };
  const rules = { miss: byId(1, [toController]), noPacketIn: byId(2, []), dropFrags: byId(3, []) };
  const notRecirculated = new Match();
  setBe32(notRecirculated, KeyLayout.recircId, 0);
  addInternalFlow(host, internalTable, notRecirculated, 2, []);
  return rules;
}

function setBe32(match: Match, at: number, value: number): void {
  new DataView(match.flow.buffer, match.flow.byteOffset).setUint32(at, value);
  match.mask.fill(0xff, at, at + 4);
}
