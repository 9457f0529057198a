import type { Core } from '../arena/core.ts';
import { allocKey, readKey, writeKey } from '../arena/keys.ts';
import { extractFlow } from '../flow/extract.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { formatFlow, formatMegaflowMatch } from '../flow/match-format.ts';
import { parseExactFlow } from '../flow/match-parse.ts';
import { noPorts, type PortMap } from '../flow/port-map.ts';
import { OFPP_UNSET } from '../openflow/ports.ts';
import { parseActions, parseContext } from '../openflow/parse-actions.ts';
import { formatOdpActions } from '../odp/actions-format.ts';
import { slowPathExplanations } from '../odp/attrs.ts';
import { parseOdpKeyText } from '../odp/key-parse.ts';
import type { Clock } from '../util/clock.ts';
import { UsageError } from '../util/errors.ts';
import { encodeOfpacts } from './ofpact-words.ts';
import type { CompiledSnapshot, XBridge, XPort } from './snapshot.ts';
import { bridgePorts, TraceTree } from './trace-tree.ts';
import type { Translator } from './translate/translator.ts';
import { xlateErrorText, xlateErrors } from './translate/types.ts';

/** What `ofproto/trace` works on. */
export interface TraceContext {
  readonly core: Core;
  readonly translator: Translator;
  readonly snapshot: CompiledSnapshot;
  readonly clock: Clock;
}

interface Request {
  readonly bridge: XBridge;
  /** 768 bytes, with OpenFlow in_port. */
  readonly flow: Uint8Array;
  readonly hasPacket: boolean;
  readonly useNames: boolean;
  readonly isConsistent: boolean;
}

/**
 * `ofproto/trace {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]`.
 *
 * @returns What OVS prints. @throws UsageError with OVS's text.
 */
export function runTrace(args: readonly string[], context: TraceContext): string {
  return run(context, parseRequest(context, args, false), null);
}

/** `ofproto/trace-packet-out [-consistent] {...} [OPTIONS...] [-generate|packet] actions`. */
export function runTracePacketOut(args: readonly string[], context: TraceContext): string {
  const text = args.at(-1) ?? '';
  const request = parseRequest(context, args.slice(0, -1), true);
  const actions = parseActions(text, parseContext(bridgePorts(request.bridge)));
  // Without actions OVS looks the flow up as if a packet had arrived.
  return run(context, request, actions.length === 0 ? null : encodeOfpacts(actions));
}

/** The trace of a flow (768 bytes, OpenFlow in_port) of `bridge`, as the log shows it when a translation failed. */
export function traceFlow(context: TraceContext, bridge: XBridge, flow: Uint8Array): string {
  return run(context, { bridge, flow, hasPacket: true, useNames: false, isConsistent: false }, null);
}

function parseRequest(context: TraceContext, argv: readonly string[], mayBeConsistent: boolean): Request {
  const { snapshot } = context;
  const args: string[] = [];
  let generate = false;
  let useNames = false;
  let isConsistent = false;
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (arg === '-generate' || arg === '--generate') generate = true;
    else if (arg === '--names') useNames = true;
    else if (arg === '--no-names') useNames = false;
    else if (mayBeConsistent && (arg === '-consistent' || arg === '--consistent')) isConsistent = true;
    else if (arg === '--ct-next') {
      const state = argv[++i];
      if (state === undefined) throw new UsageError(`Missing argument for option ${arg}`);
      checkCtState(state);
    } else if (arg === '--l7' || arg === '--l7-len') {
      if (argv[++i] === undefined) throw new UsageError(`Missing argument for option ${arg}`);
    } else if (arg.startsWith('-')) throw new UsageError(`${arg}: unknown option`);
    else if (args.length >= 3) throw new UsageError('too many arguments');
    else args.push(arg);
  }
  let packet: Uint8Array | null = null;
  if (!generate && args.length > 1) {
    const last = args.at(-1) ?? '';
    const parsed = parsePacketHex(last);
    if (typeof parsed !== 'string') {
      packet = parsed;
      args.pop();
    } else if (args.length > 2) throw new UsageError(parsed);
  }
  if (args.length < 1 || args.length > 2) throw new UsageError('Syntax error');
  const flowText = args.at(-1) ?? '';
  const { bridge, flow } = parseFlow(snapshot, args.length === 2 ? (args[0] ?? '') : null, flowText);
  if (packet !== null) extractInto(flow, packet);
  return { bridge, flow, hasPacket: generate || packet !== null, useNames, isConsistent };
}

/** Reads `[dp_name] odp_flow` or `bridge br_flow`. */
function parseFlow(
  snapshot: CompiledSnapshot,
  first: string | null,
  text: string,
): { bridge: XBridge; flow: Uint8Array } {
  const types = new Set(snapshot.bridges.map((b) => b.config.datapathType));
  let backer: string | null = null;
  if (first !== null) {
    const type = first.startsWith('ovs-') ? first.slice(4) : first;
    if (types.has(type)) backer = type;
  } else if (types.size === 1) backer = [...types][0] ?? null;
  const odpPorts: PortMap = {
    byName: (name) => datapathPorts(snapshot, backer).find((p) => p.name === name)?.odp,
    byNumber: () => undefined,
  };
  let odpError: string;
  try {
    const { flow } = parseOdpKeyText(text, odpPorts);
    if (backer === null) throw new BackerMissing();
    const dv = new DataView(flow.buffer, flow.byteOffset);
    const odp = dv.getUint32(K.inPort);
    const port = datapathPorts(snapshot, backer).find((p) => p.odp === odp);
    if (port === undefined) throw new BackerMissing(`no OpenFlow port for datapath port ${odp}`);
    dv.setUint32(K.inPort, port.ofp);
    return { bridge: port.bridge, flow };
  } catch (error) {
    if (error instanceof BackerMissing) throw new UsageError(error.message);
    odpError = error instanceof Error ? error.message : String(error);
  }
  if (first === null) throw new UsageError(`${odpError} (or the bridge name was omitted)`);
  const bridge = snapshot.bridge(first);
  if (bridge === undefined) throw new UsageError(`${first}: unknown bridge`);
  try {
    return { bridge, flow: parseExactFlow(text, bridgePorts(bridge)) };
  } catch (error) {
    throw new UsageError(
      `Bad openflow flow syntax: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Inside parseFlow: the text is a datapath flow, so that no other reading is tried. */
class BackerMissing extends Error {
  constructor(message = 'Cannot find the datapath') {
    super(message);
  }
}

function datapathPorts(snapshot: CompiledSnapshot, type: string | null): XPort[] {
  return snapshot.bridges
    .filter((b) => b.config.datapathType === type)
    .flatMap((b) => b.ports.filter((p) => p.odp >= 0));
}

/** Hex digits of a frame; or OVS's complaint. */
function parsePacketHex(text: string): Uint8Array | string {
  const m = /^(?:\s*[0-9a-fA-F]{2})*\s*/.exec(text);
  const hex = (m?.[0] ?? '').replace(/\s+/g, '');
  if ((m?.[0].length ?? 0) < text.length) return 'Trailing garbage in packet data';
  if (hex.length < 28) return 'Packet data too short for Ethernet';
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

/** Headers from the packet; the rest (in_port, registers, tunnel ...) from the flow. */
function extractInto(flow: Uint8Array, packet: Uint8Array): void {
  const extracted = extractFlow(packet).flow;
  for (const [from, to] of [
    [K.inPort, K.dlDst],
    [K.packetType, K.ipv6Src],
    [K.ctState, K.ctNwProto],
    [K.ctMark, K.mplsLse0],
    [K.ctIpv6Src, K.nshFlags],
    [K.tunDst, KEY_SIZE],
  ] as const) {
    extracted.set(flow.subarray(from, to), from);
  }
  flow.set(extracted);
}

const ctFlags: Readonly<Record<string, number>> = {
  new: 1,
  est: 2,
  rel: 4,
  rpl: 8,
  inv: 16,
  trk: 32,
  snat: 64,
  dnat: 128,
};

function checkCtState(text: string): void {
  let state = 0;
  for (const name of text.split(/[,|]/)) {
    const bit = ctFlags[name.trim()];
    if (bit === undefined) throw new UsageError(`${name.trim()}: unknown connection tracking state flag`);
    state |= bit;
  }
  if (state !== 0 && (state & 32) === 0) {
    throw new UsageError('invalid connection state: If "trk" is unset, no other flags are set');
  }
}

function run(context: TraceContext, request: Request, ofpacts: Uint32Array | null): string {
  const { core, translator } = context;
  const { bridge, flow } = request;
  const tree = new TraceTree(request.useNames);
  const ports = request.useNames ? bridgePorts(bridge) : noPorts;
  const key = allocKey(core);
  const words = ofpacts === null ? 0 : core.x.alloc(Math.max(ofpacts.length, 1) * 4) >>> 0;
  try {
    new DataView(flow.buffer, flow.byteOffset).setUint32(K.actsetOutput, OFPP_UNSET);
    writeKey(core, key, flow);
    if (ofpacts !== null) core.u32.set(ofpacts, words >>> 2);
    const result = translator.translate({
      bridge,
      flow: key,
      packet: request.hasPacket ? key : 0,
      packets: 0,
      bytes: 0,
      usedMs: context.clock.nowMs(),
      tcpFlags: new DataView(flow.buffer, flow.byteOffset).getUint16(K.tcpFlags),
      allowSideEffects: request.hasPacket,
      wantXcache: false,
      wantWc: true,
      ofpacts: words,
      ofpactsWords: ofpacts?.length ?? 0,
      trace: tree,
    });
    const initial = flow;
    const final = readKey(core, result.finalFlow);
    const isSame = initial.every((b, i) => b === final[i]);
    const wc = readKey(core, result.wc);
    const actions = core.u8.slice(result.actions, result.actions + result.actionsLength);
    let out = `Flow: ${formatFlow(initial, ports)}\n${tree.toString()}`;
    out += `\nFinal flow: ${isSame ? 'unchanged' : formatFlow(final, ports)}\n`;
    out += `Megaflow: ${formatMegaflowMatch(initial, wc, ports)}\n`;
    out += `Datapath actions: ${formatOdpActions(actions, request.useNames ? odpNames(context.snapshot, bridge) : noPorts)}`;
    if (result.error !== xlateErrors.OK) {
      out += `\nTranslation failed (${xlateErrorText[result.error]}), packet is dropped.`;
    } else if (result.slow !== 0) {
      out += '\nThis flow is handled by the userspace slow path because it:';
      for (const [bit, , text] of slowPathExplanations)
        if ((result.slow & bit) !== 0) out += `\n  - ${text}.`;
    }
    return `${out}\n`;
  } finally {
    core.x.free(key);
    if (words !== 0) core.x.free(words);
  }
}

function odpNames(snapshot: CompiledSnapshot, bridge: XBridge): PortMap {
  const ports = datapathPorts(snapshot, bridge.config.datapathType);
  return {
    byName: (name) => ports.find((p) => p.name === name)?.odp,
    byNumber: (odp) => ports.find((p) => p.odp === odp)?.name,
  };
}
