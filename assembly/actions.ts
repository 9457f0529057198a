import { Packet } from './generated/packet';
import { Pmd } from './generated/pmd';
import { count, KEY_SIZE, KEY_SLOTS, recircAdd, shareDescriptor, txAdd, upcallAdd } from './burst';
import { pmdRandom } from './emc';
import { extract } from './extract';
import { hash5tuple, hashSymmetricL3L4 } from './hash';
import { setField } from './actions-set';
import { popMpls, popVlan, pushMpls, pushVlan } from './actions-tag';

/**
 * Runs datapath actions (netlink attributes, OVS_ACTION_ATTR_*) on one packet.
 *
 * Nothing here trusts the lengths of attributes, and header changes only touch headers that extraction
 * found whole. An action that is unknown, malformed or cannot be done ends the packet's way, counted.
 */
// @ts-ignore: decorator
@inline const MAX_NESTING: u32 = 16;
// @ts-ignore: decorator
@inline const OUTPUT: u32 = 1;
// @ts-ignore: decorator
@inline const USERSPACE: u32 = 2;
// @ts-ignore: decorator
@inline const SET: u32 = 3;
// @ts-ignore: decorator
@inline const PUSH_VLAN: u32 = 4;
// @ts-ignore: decorator
@inline const POP_VLAN: u32 = 5;
// @ts-ignore: decorator
@inline const SAMPLE: u32 = 6;
// @ts-ignore: decorator
@inline const RECIRC: u32 = 7;
// @ts-ignore: decorator
@inline const HASH: u32 = 8;
// @ts-ignore: decorator
@inline const PUSH_MPLS: u32 = 9;
// @ts-ignore: decorator
@inline const POP_MPLS: u32 = 10;
// @ts-ignore: decorator
@inline const SET_MASKED: u32 = 11;
// @ts-ignore: decorator
@inline const TRUNC: u32 = 13;
// @ts-ignore: decorator
@inline const CLONE: u32 = 20;
// @ts-ignore: decorator
@inline const CHECK_PKT_LEN: u32 = 21;
// @ts-ignore: decorator
@inline const DROP: u32 = 25;

/** A drop without a reason: an empty action list. */
export function executeDrop(pmd: usize): void {
  count(pmd, Pmd.dropAction);
}

/** Payload of the first nested attribute of a type in [at, end), 0 if there is none. */
function nested(at: usize, end: usize, type: u32): usize {
  while (end - at >= 4 && at < end) {
    const length = <usize>load<u16>(at);
    if (length < 4 || length > end - at) return 0;
    if (<u32>load<u16>(at, 2) == type) return at + 4;
    at += (length + 3) & ~3;
  }
  return 0;
}

// @ts-ignore: decorator
@inline
function endOf(payload: usize): usize {
  return payload - 4 + <usize>load<u16>(payload - 4);
}

/** Runs [at, end). `mf` is the megaflow they belong to, 0 = none; for upcalls. */
export function execute(pmd: usize, packet: usize, at: usize, end: usize, mf: usize, depth: u32): void {
  while (at < end) {
    const room = end - at;
    const length: usize = room < 4 ? 0 : <usize>load<u16>(at);
    if (length < 4 || length > room) {
      count(pmd, Pmd.dropInvalidAction);
      return;
    }
    const type = <u32>load<u16>(at, 2);
    const payload = at + 4;
    const size = <u32>length - 4;
    const attribute = at;
    at += (length + 3) & ~3;
    const isLast = at >= end;

    if (type == OUTPUT && size == 4) {
      txAdd(pmd, packet, load<u32>(payload));
    } else if (type == SET_MASKED || type == SET) {
      packet = setField(pmd, packet, payload, size, type == SET_MASKED);
    } else if (type == PUSH_VLAN && size == 4) {
      packet = pushVlan(pmd, packet, load<u16>(payload), load<u16>(payload, 2));
    } else if (type == POP_VLAN) {
      packet = popVlan(pmd, packet);
    } else if (type == USERSPACE) {
      upcallAdd(pmd, packet, attribute, mf);
    } else if (type == RECIRC && size == 4) {
      recircTo(pmd, packet, load<u32>(payload), isLast);
    } else if (type == HASH && size == 8) {
      hashTo(pmd, packet, load<u32>(payload), load<u32>(payload, 4));
    } else if (type == TRUNC && size == 4) {
      const most = load<u32>(payload);
      const whole = load<u32>(packet, Packet.length);
      store<u32>(packet, whole > most ? whole - most : 0, Packet.cutLength);
    } else if (type == PUSH_MPLS && size >= 6) {
      packet = pushMpls(pmd, packet, load<u32>(payload), load<u16>(payload, 4));
    } else if (type == POP_MPLS && size >= 2) {
      packet = popMpls(pmd, packet, load<u16>(payload));
    } else if (type == CLONE) {
      branch(pmd, packet, payload, payload + <usize>size, mf, depth, isLast);
    } else if (type == SAMPLE) {
      sample(pmd, packet, payload, size, mf, depth, isLast);
    } else if (type == CHECK_PKT_LEN) {
      checkLength(pmd, packet, payload, size, mf, depth, isLast);
    } else if (type == DROP) {
      const error = size == 4 ? min<u32>(load<u32>(payload), 15) : 0;
      count(pmd, Pmd.dropXlate + (<usize>error << 3));
      count(pmd, Pmd.dropAction);
      return;
    } else {
      count(pmd, Pmd.dropInvalidAction);
      return;
    }
    // A change that could not be done; counted where it failed.
    if (packet == 0) return;
  }
}

function recircTo(pmd: usize, packet: usize, id: u32, isLast: bool): void {
  const next = isLast ? packet : shareDescriptor(pmd, packet);
  if (next == 0) return;
  store<u32>(next, id, Packet.recircId);
  recircAdd(pmd, next);
}

function hashTo(pmd: usize, packet: usize, algorithm: u32, basis: u32): void {
  const key = <usize>load<u32>(pmd, Pmd.keys) + <usize>KEY_SLOTS * KEY_SIZE;
  extract(packet, key);
  store<u32>(packet, algorithm == 1 ? hashSymmetricL3L4(key, basis) : hash5tuple(key, basis), Packet.dpHash);
}

/** Nested actions on the packet as it is; what they change is not seen after. */
function branch(pmd: usize, packet: usize, at: usize, end: usize, mf: usize, depth: u32, isLast: bool): void {
  if (depth >= MAX_NESTING) {
    count(pmd, Pmd.dropInvalidAction);
    return;
  }
  const own = isLast ? packet : shareDescriptor(pmd, packet);
  if (own != 0) execute(pmd, own, at, end, mf, depth + 1);
}

function sample(pmd: usize, packet: usize, at: usize, size: u32, mf: usize, depth: u32, isLast: bool): void {
  const end = at + <usize>size;
  const probability = nested(at, end, 1);
  const actions = nested(at, end, 2);
  if (probability == 0 || endOf(probability) - probability != 4 || actions == 0) {
    count(pmd, Pmd.dropSampleError);
    return;
  }
  const chance = load<u32>(probability);
  if (chance == 0 || pmdRandom(pmd) > chance) {
    if (isLast) count(pmd, Pmd.dropSampleError);
    return;
  }
  branch(pmd, packet, actions, endOf(actions), mf, depth, isLast);
}

function checkLength(pmd: usize, packet: usize, at: usize, size: u32, mf: usize, depth: u32, isLast: bool): void {
  const end = at + <usize>size;
  const limit = nested(at, end, 1);
  if (limit == 0 || endOf(limit) - limit != 2) {
    count(pmd, Pmd.dropInvalidAction);
    return;
  }
  const actions = nested(at, end, load<u32>(packet, Packet.length) > <u32>load<u16>(limit) ? 2 : 3);
  if (actions != 0) branch(pmd, packet, actions, endOf(actions), mf, depth, isLast);
}

