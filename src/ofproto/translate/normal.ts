import { KeyLayout as K } from '../../flow/generated/key.ts';
import { OFPP_CONTROLLER, OFPP_NONE } from '../../openflow/ports.ts';
import { XBundle, type XPort } from '../snapshot.ts';
import type { XlateContext } from './context.ts';
import { isReservedMac } from './reserved-mac.ts';
import { requestRevalidation } from './revalidation.ts';
import { xcacheKinds } from './xcache.ts';

/**
 * The NORMAL pipeline: a learning VLAN switch.
 *
 * VLANs: two tags at most. `inVlans` are the packet's, `vlans` the ones of the switch after the input
 * bundle's mode was applied, `outVlans` what leaves on a bundle. Each is {tpid, vid, pcp} x 2, where pcp stays
 * in the TCI's place (bits 13-15). A vid of 0 means no tag.
 */
const VID_MASK = 0x0fff;
const PCP_MASK = 0xe000;
const CFI = 0x1000;
const TPID_8021Q = 0x8100;

class Vlans {
  tpid0 = 0;
  vid0 = 0;
  pcp0 = 0;
  tpid1 = 0;
  vid1 = 0;
  pcp1 = 0;
  clear(): void {
    this.tpid0 = this.vid0 = this.pcp0 = this.tpid1 = this.vid1 = this.pcp1 = 0;
  }
  copy(from: Vlans): void {
    this.tpid0 = from.tpid0;
    this.vid0 = from.vid0;
    this.pcp0 = from.pcp0;
    this.tpid1 = from.tpid1;
    this.vid1 = from.vid1;
    this.pcp1 = from.pcp1;
  }
  pop(): void {
    this.tpid0 = this.tpid1;
    this.vid0 = this.vid1;
    this.pcp0 = this.pcp1;
    this.tpid1 = this.vid1 = this.pcp1 = 0;
  }
  push(tpid: number, vid: number): void {
    this.tpid1 = this.tpid0;
    this.vid1 = this.vid0;
    this.pcp1 = this.pcp0;
    this.tpid0 = tpid;
    this.vid0 = vid;
    this.pcp0 = 0;
  }
}

/** Scratch of xlateNormal; NORMAL does not nest within one bridge, but patch ports lead to others: see output. */
const pool: Vlans[] = [];
let poolUsed = 0;
function takeVlans(): Vlans {
  const v = pool[poolUsed] ?? (pool[poolUsed] = new Vlans());
  poolUsed++;
  return v;
}

const isVlanTpid = (tpid: number): boolean => tpid === 0x8100 || tpid === 0x88a8;

function extractVlans(ctx: XlateContext, out: Vlans): void {
  const { dv, flow } = ctx;
  out.clear();
  const tpid0 = dv.getUint16(flow + K.vlanTpid0);
  const tci0 = dv.getUint16(flow + K.vlanTci0);
  if (!isVlanTpid(tpid0) || (tci0 & CFI) === 0) return;
  out.tpid0 = tpid0;
  out.vid0 = tci0 & VID_MASK;
  out.pcp0 = tci0 & PCP_MASK;
  const tpid1 = dv.getUint16(flow + K.vlanTpid1);
  const tci1 = dv.getUint16(flow + K.vlanTci1);
  if (!isVlanTpid(tpid1) || (tci1 & CFI) === 0) return;
  out.tpid1 = tpid1;
  out.vid1 = tci1 & VID_MASK;
  out.pcp1 = tci1 & PCP_MASK;
}

function trunksVlan(bundle: XBundle, vid: number): boolean {
  return bundle.trunks === null || bundle.trunks[vid] === 1;
}

/** Whether a bundle may carry the packet's tag; complains if not. */
function inputVidIsValid(ctx: XlateContext, vid: number, bundle: XBundle): boolean {
  switch (bundle.vlanMode) {
    case 'access':
      if (vid !== 0) {
        ctx.reportError(
          `dropping VLAN ${vid} tagged packet received on port ${bundle.name} configured as VLAN ${bundle.vlan} access port`,
        );
        return false;
      }
      return true;
    case 'native-tagged':
    case 'native-untagged':
      if (vid === 0) return true;
      break;
    case 'dot1q-tunnel':
      if (bundle.cvlans !== null && bundle.cvlans[vid] !== 1) {
        ctx.reportError(
          `dropping VLAN ${vid} packet received on dot1q-tunnel port ${bundle.name} that excludes this VLAN`,
        );
        return false;
      }
      return true;
    case 'trunk':
      break;
  }
  if (!trunksVlan(bundle, vid)) {
    ctx.reportError(
      `dropping VLAN ${vid} packet received on port ${bundle.name} not configured for trunking VLAN ${vid}`,
    );
    return false;
  }
  return true;
}

function includesVlan(bundle: XBundle, vlans: Vlans): boolean {
  switch (bundle.vlanMode) {
    case 'access':
      return vlans.vid0 === bundle.vlan && vlans.vid1 === 0;
    case 'dot1q-tunnel':
      return vlans.vid0 === bundle.vlan && (bundle.cvlans === null || bundle.cvlans[vlans.vid1] === 1);
    default:
      return trunksVlan(bundle, vlans.vid0);
  }
}

/** The VLANs of the switch for a packet that came in on `bundle`. */
function translateInput(bundle: XBundle, inVlans: Vlans, out: Vlans): void {
  switch (bundle.vlanMode) {
    case 'access':
      out.clear();
      out.tpid0 = inVlans.tpid0 || TPID_8021Q;
      out.vid0 = bundle.vlan;
      out.pcp0 = inVlans.pcp0;
      return;
    case 'trunk':
      out.copy(inVlans);
      return;
    case 'native-tagged':
    case 'native-untagged':
      out.copy(inVlans);
      if (inVlans.vid0 === 0) {
        out.tpid0 = inVlans.tpid0 || TPID_8021Q;
        out.vid0 = bundle.vlan;
      }
      return;
    case 'dot1q-tunnel':
      out.copy(inVlans);
      out.push(bundle.qinqEthtype, bundle.vlan);
  }
}

function translateOutput(bundle: XBundle, vlans: Vlans, out: Vlans): void {
  out.copy(vlans);
  switch (bundle.vlanMode) {
    case 'access':
      out.clear();
      return;
    case 'native-untagged':
      if (vlans.vid0 === bundle.vlan) out.pop();
      return;
    case 'dot1q-tunnel':
      out.pop();
      return;
    default:
  }
}

/** Writes VLANs into the flow; a tag with neither vid nor priority is left out. */
function putVlans(ctx: XlateContext, v: Vlans, always: boolean): void {
  const { dv, flow } = ctx;
  let tci = v.vid0 | v.pcp0;
  if (tci !== 0 || always) {
    tci |= CFI;
    dv.setUint16(flow + K.vlanTpid0, v.tpid0 || TPID_8021Q);
  }
  dv.setUint16(flow + K.vlanTci0, tci);
  let tci1 = v.vid1 | v.pcp1;
  if (tci1 !== 0) {
    tci1 |= CFI;
    dv.setUint16(flow + K.vlanTpid1, v.tpid1 || TPID_8021Q);
  }
  dv.setUint16(flow + K.vlanTci1, tci1);
}

function outputNormal(ctx: XlateContext, bundle: XBundle, vlans: Vlans): void {
  const port = bundle.ports[0];
  if (bundle.cvlans !== null && bundle.vlanMode === 'dot1q-tunnel') ctx.mask16(K.vlanTci1, 0xffff);
  const mark = poolUsed;
  const out = takeVlans();
  translateOutput(bundle, vlans, out);
  const { dv, flow } = ctx;
  if (bundle.priorityTags !== 'no') out.pcp0 = dv.getUint16(flow + K.vlanTci0) & PCP_MASK;
  if (port !== undefined) {
    const hi = dv.getUint32(flow + K.vlanTpid0);
    const lo = dv.getUint32(flow + K.vlanTpid1);
    putVlans(ctx, out, bundle.priorityTags === 'always');
    ctx.pipeline.outputToPort(ctx, port.ofp, false, false);
    dv.setUint32(flow + K.vlanTpid0, hi);
    dv.setUint32(flow + K.vlanTpid1, lo);
  }
  poolUsed = mark;
}

/** An ARP broadcast by which a host announces itself: its location may be locked (bonds). */
function isGratuitousArp(ctx: XlateContext): boolean {
  const { dv, u8, flow, wc } = ctx;
  if (ctx.dlType !== 0x0806) return false;
  ctx.maskBytes(K.dlDst, 6);
  if (dv.getUint32(flow + K.dlDst) !== 0xffffffff || dv.getUint16(flow + K.dlDst + 4) !== 0xffff)
    return false;
  u8[wc + K.nwProto] = 0xff;
  const op = u8[flow + K.nwProto];
  if (op === 2) return true;
  if (op !== 1) return false;
  dv.setUint32(wc + K.nwSrc, 0xffffffff);
  dv.setUint32(wc + K.nwDst, 0xffffffff);
  return dv.getUint32(flow + K.nwSrc) === dv.getUint32(flow + K.nwDst);
}

function formatMac(u8: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 6; i++) text += (i > 0 ? ':' : '') + (u8[at + i] ?? 0).toString(16).padStart(2, '0');
  return text;
}

/** output:NORMAL. */
export function xlateNormal(ctx: XlateContext): void {
  const mark = poolUsed;
  try {
    normal(ctx, takeVlans(), takeVlans());
  } finally {
    poolUsed = mark;
  }
}

function normal(ctx: XlateContext, inVlans: Vlans, vlans: Vlans): void {
  const { flow, u8, bridge } = ctx;
  ctx.maskBytes(K.dlSrc, 6);
  ctx.maskBytes(K.dlDst, 6);
  ctx.mask16(K.vlanTci0, VID_MASK | CFI);

  const inPort = bridge.port(ctx.inPort);
  const inBundle = inputBundle(ctx, inPort);
  if (inBundle === null) {
    ctx.reportError(`received packet on unknown port ${ctx.inPort}`);
    ctx.report('warn', 'no input bundle, dropping');
    return;
  }
  if (isVlanTpid(ctx.dlType) && (ctx.dv.getUint16(flow + K.vlanTci0) & CFI) === 0) {
    if (ctx.input.packet !== 0) {
      ctx.reportError(`dropping packet with partial VLAN tag received on port ${inBundle.name}`);
    }
    ctx.report('warn', 'partial VLAN tag, dropping');
    return;
  }
  extractVlans(ctx, inVlans);
  const isFromController = inBundle === fromController;
  if (!isFromController && !inputVidIsValid(ctx, inVlans.vid0, inBundle)) {
    ctx.report('warn', 'disallowed VLAN VID for this input port, dropping');
    return;
  }
  translateInput(inBundle, inVlans, vlans);
  const vlan = vlans.vid0;
  if (inPort !== undefined && !bridge.config.forwardBpdu && isReservedMac(u8, flow + K.dlDst)) {
    ctx.report('detail', 'packet has reserved destination MAC, dropping');
    return;
  }
  const isGratArp = isGratuitousArp(ctx);
  if (!isFromController) learn(ctx, inBundle, vlan, isGratArp);
  const macTable = bridge.config.macTable;
  const learned = macTable === 0 ? 0 : ctx.x.macLookup(macTable, vlan, flow + K.dlDst) >>> 0;
  if (learned !== 0) {
    const outBundle = bridge.port(ctx.x.macEntryPort(learned) >>> 0)?.bundle ?? null;
    if (outBundle === null) ctx.report('warn', 'learned port is unknown, dropping');
    else if (outBundle === inBundle) ctx.report('detail', 'learned port is input port, dropping');
    else {
      ctx.report('detail', 'forwarding to learned port');
      outputNormal(ctx, outBundle, vlans);
    }
    return;
  }
  ctx.report('detail', 'no learned MAC for destination, flooding');
  for (const bundle of bridge.bundles) {
    if (bundle !== inBundle && includesVlan(bundle, vlans) && bundle.floodable)
      outputNormal(ctx, bundle, vlans);
  }
}

/** Learns the source address, or notes that later packets will. */
function learn(ctx: XlateContext, bundle: XBundle, vlan: number, isGratArp: boolean): void {
  const { bridge, flow, input, u32, dv } = ctx;
  if (input.allowSideEffects && dv.getUint32(flow + K.packetType) === 0) {
    const table = bridge.config.macTable;
    if (table !== 0 && ctx.x.macLearn(table, vlan, flow + K.dlSrc, ctx.inPort, isGratArp, input.usedMs)) {
      requestRevalidation(ctx.core);
      ctx.report(
        'detail',
        `learned that ${formatMac(ctx.u8, flow + K.dlSrc)} is on port ${bundle.name} in VLAN ${vlan}`,
      );
    }
  }
  const at = ctx.xcacheEntry(xcacheKinds.normal, 6);
  if (at < 0) return;
  u32[at] = bridge.id;
  u32[at + 1] = ctx.inPort;
  u32[at + 2] = vlan;
  u32[at + 3] = isGratArp ? 1 : 0;
  u32[at + 4] = dv.getUint32(flow + K.dlSrc, true);
  u32[at + 5] = dv.getUint16(flow + K.dlSrc + 4, true);
}

/** Packets that a controller sends without a port of their own may go anywhere and teach nothing. */
const fromController = new XBundle(null, {
  name: 'OFPP_NONE',
  vlanMode: 'trunk',
  vlan: -1,
  priorityTags: 'no',
  protected: false,
  floodable: false,
});

function inputBundle(ctx: XlateContext, port: XPort | undefined): XBundle | null {
  if (port !== undefined && port.bundle !== null) return port.bundle;
  return ctx.inPort === OFPP_CONTROLLER || ctx.inPort === OFPP_NONE ? fromController : null;
}
