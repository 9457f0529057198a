import { bundledPart, checkBundled } from '../../openflow/bundle-messages.ts';
import { BundleControlType, BundleFlag } from '../../openflow/messages.ts';
import type { BundleAddMessage, BundleControl, PacketOut, PortModMessage } from '../../openflow/messages.ts';
import { OfpError } from '../../util/errors.ts';
import type { DecodedMessage } from '../codec.ts';
import { decodeRequest, encodeReply } from '../codec.ts';
import type { Bundle } from '../connection/bundles.ts';
import type { OfConn } from '../connection/ofconn.ts';
import type { RequestOutcome } from '../connection/request-job.ts';
import { addRule, flowModSteps } from '../flow-mod.ts';
import type { SwitchState } from '../switch-state.ts';
import type { Steps, TableChange } from '../table-change.ts';
import { runChange } from './change-job.ts';
import { checkBundledFlowMod, checkFlowMod } from './flow-mod.ts';
import { checkPacketOut, checkPacketOutForm, handlePacketOut } from './packet-out.ts';
import { findPortToChange, handlePortMod } from './port-mod.ts';

/**
 * Bundles: open, add, close, commit, discard.
 *
 * A commit is one change of the tables, so all of its flow_mods are seen at once or, when one of them
 * fails, none. Its port_mods and packet_outs follow once the change is published: port_mods cannot be
 * undone (an atomic bundle may have none), and its packets see the whole bundle.
 */
const T = BundleControlType;

/** Messages of a bundle that are worked off before others get their turn. */
const commitSlice = 256;

/** @throws OfpError OFPBFC_* */
export function handleBundleControl(
  sw: SwitchState,
  conn: OfConn,
  request: DecodedMessage,
  m: BundleControl,
  bytes: Uint8Array,
): RequestOutcome {
  const nowMs = sw.deps.clock.nowMs();
  switch (m.controlType) {
    case T.OPEN_REQUEST:
      conn.bundles.open(m.bundleId, m.flags, bytes, nowMs);
      break;
    case T.CLOSE_REQUEST:
      conn.bundles.close(m.bundleId, m.flags, nowMs);
      break;
    case T.COMMIT_REQUEST: {
      const bundle = conn.bundles.take(m.bundleId);
      if (bundle.flags !== m.flags) throw new OfpError('OFPBFC_BAD_FLAGS');
      return commit(sw, conn, bundle, () => {
        reply(conn, request, m);
      });
    }
    case T.DISCARD_REQUEST:
      conn.bundles.take(m.bundleId);
      break;
    default:
      throw new OfpError('OFPBFC_BAD_TYPE');
  }
  reply(conn, request, m);
  return 'done';
}

/** The reply of a request has the next number, and no flags. */
function reply(conn: OfConn, request: DecodedMessage, m: BundleControl): void {
  const answer = { ...m, controlType: m.controlType + 1, flags: 0 };
  for (const part of encodeReply(conn, request, answer)) conn.sendReply(part);
}

type Later = (PacketOut | PortModMessage)[];

function commit(sw: SwitchState, conn: OfConn, bundle: Bundle, done: () => void): RequestOutcome {
  return runChange(sw, function* (change) {
    const later: Later = [];
    let n = 0;
    for (const added of bundle.messages) {
      if (n > 0 && n % commitSlice === 0) yield;
      n++;
      try {
        yield* applyMessage(sw, conn, bundle, change, bundledPart(added), later);
      } catch (e) {
        if (!(e instanceof OfpError)) throw e;
        conn.sendError(e.code, added);
        throw new OfpError('OFPBFC_MSG_FAILED');
      }
    }
    change.afterCommit = () => {
      for (const m of later) {
        if (m.type === 'packet_out') handlePacketOut(sw, m);
        else handlePortMod(sw, conn, m);
      }
      done();
    };
  });
}

function* applyMessage(
  sw: SwitchState,
  conn: OfConn,
  bundle: Bundle,
  change: TableChange,
  bytes: Uint8Array,
  later: Later,
): Steps {
  const { flowModReader, flowModHost } = sw;
  if (flowModReader.read(bytes, conn.flowModTableId)) {
    conn.flowMods.count('add', sw.deps.clock.nowMs());
    addRule(flowModHost, change, flowModReader);
    return;
  }
  const { message, version } = decodeRequest(conn, bytes);
  switch (message.type) {
    case 'flow_mod':
      conn.flowMods.count(message.command, sw.deps.clock.nowMs());
      checkFlowMod(message, version);
      yield* flowModSteps(flowModHost, change, message);
      return;
    case 'port_mod':
      if ((bundle.flags & BundleFlag.ATOMIC) !== 0) throw new OfpError('OFPBFC_MSG_FAILED');
      findPortToChange(sw, message);
      later.push(message);
      return;
    case 'packet_out':
      checkPacketOut(message);
      later.push(message);
      return;
    default:
      throw new OfpError('OFPBFC_MSG_UNSUP');
  }
}

/** @throws OfpError OFPBFC_*, or what is wrong with the message inside */
export function handleBundleAdd(
  sw: SwitchState,
  conn: OfConn,
  m: BundleAddMessage,
  request: { readonly version: number; readonly xid: number },
  bytes: Uint8Array,
): void {
  const inner = checkBundled(m.message, request.version, request.xid);
  if (!sw.flowModReader.read(inner, conn.flowModTableId)) {
    const { message, version } = decodeRequest(conn, inner);
    if (message.type === 'flow_mod') checkBundledFlowMod(message, version);
    if (message.type === 'packet_out') checkPacketOutForm(message);
  }
  conn.bundles.toAdd(m.bundleId, m.flags, bytes, sw.deps.clock.nowMs()).messages.add(bytes);
}

const typeBundleAdd = 34;
const headerLength = 8;

/**
 * Adds the message of a bundle_add_message of OpenFlow 1.4 that holds a flow_mod of the plain kind.
 *
 * @returns False when it is not one, or wrong. @throws OfpError OFPBFC_*
 */
export function handlePlainBundleAdd(sw: SwitchState, conn: OfConn, bytes: Uint8Array): boolean {
  if (bytes[0] !== conn.version || bytes[1] !== typeBundleAdd || conn.version !== 5) return false;
  if (conn.role === 'slave' || bytes.length < 16 + headerLength) return false;
  for (let i = 4; i < 8; i++) if (bytes[i] !== bytes[16 + i]) return false;
  const inner = bundledPart(bytes);
  if (inner.length !== bytes.length - 16 || inner[0] !== bytes[0]) return false;
  if (!sw.flowModReader.read(inner, conn.flowModTableId)) return false;
  const id =
    (((bytes[8] ?? 0) << 24) | ((bytes[9] ?? 0) << 16) | ((bytes[10] ?? 0) << 8) | (bytes[11] ?? 0)) >>> 0;
  const flags = ((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0);
  conn.bundles.toAdd(id, flags, bytes, sw.deps.clock.nowMs()).messages.add(bytes);
  return true;
}
