import {
  OvsActionAttr,
  OvsCheckPktLenAttr,
  OvsCtAttr,
  OvsKeyAttr,
  OvsSampleAttr,
  OvsUserspaceAttr,
} from './attrs.ts';

/**
 * Writes datapath actions as netlink attributes into memory that the caller owns.
 *
 * Shape: {u16 length with header, u16 type}, payload, padding to 4 bytes; header little-endian;
 * scalars little-endian (host order) where the kernel has host order, network order where it has that.
 *
 * Costs: no allocation. When room runs out nothing more is written and `overflowed` is true; the caller
 * checks once at the end. A writer is reused through `reset`.
 */
export class OdpActionWriter {
  #u8: Uint8Array;
  #base: number;
  #at: number;
  #end: number;
  #overflowed = false;

  /** Writes into `u8[base, base + capacity)`. `base` is a multiple of 4. */
  constructor(u8: Uint8Array, base = 0, capacity = u8.length - base) {
    this.#u8 = u8;
    this.#base = base;
    this.#at = base;
    this.#end = base + capacity;
  }

  /** Starts over at another place of the same memory. */
  reset(base: number, capacity: number): void {
    this.#base = base;
    this.#at = base;
    this.#end = base + capacity;
    this.#overflowed = false;
  }

  /** Bytes written. */
  get length(): number {
    return this.#at - this.#base;
  }

  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Drops what was written after `length` bytes. */
  truncate(length: number): void {
    if (length < this.length) this.#at = this.#base + length;
  }

  /** A view of what was written; valid until the memory changes. */
  bytes(): Uint8Array {
    return this.#u8.subarray(this.#base, this.#at);
  }

  /**
   * Begins an attribute with `size` payload bytes, zeroed.
   *
   * @returns Index of the payload in the writer's memory, or -1 when there is no room.
   */
  attribute(type: number, size: number): number {
    const at = this.#at;
    const total = (size + 7) & ~3;
    if (at + total > this.#end || size > 0xfff0) {
      this.#overflowed = true;
      return -1;
    }
    const u8 = this.#u8;
    const length = size + 4;
    u8[at] = length & 0xff;
    u8[at + 1] = length >>> 8;
    u8[at + 2] = type & 0xff;
    u8[at + 3] = type >>> 8;
    for (let i = at + 4; i < at + total; i++) u8[i] = 0;
    this.#at = at + total;
    return at + 4;
  }

  /** Appends an attribute that holds `payload`. */
  raw(type: number, payload: Uint8Array): void {
    const p = this.attribute(type, payload.length);
    if (p >= 0) this.#u8.set(payload, p);
  }

  /** Appends whole attributes copied from elsewhere. */
  append(attributes: Uint8Array): void {
    if (this.#at + attributes.length > this.#end) {
      this.#overflowed = true;
      return;
    }
    this.#u8.set(attributes, this.#at);
    this.#at += (attributes.length + 3) & ~3;
  }

  /** Begins a nested attribute; hand the result to `endNested`. */
  beginNested(type: number): number {
    return this.attribute(type, 0) - 4;
  }

  endNested(begin: number): void {
    if (this.#overflowed || begin < 0) return;
    const length = this.#at - begin;
    if (length > 0xffff) {
      this.#overflowed = true;
      return;
    }
    this.#u8[begin] = length & 0xff;
    this.#u8[begin + 1] = length >>> 8;
  }

  /** An attribute with a little-endian u32. */
  u32(type: number, value: number): void {
    const p = this.attribute(type, 4);
    if (p >= 0) this.#le32(p, value);
  }

  /** An attribute with a little-endian u16. */
  u16(type: number, value: number): void {
    const p = this.attribute(type, 2);
    if (p < 0) return;
    this.#u8[p] = value & 0xff;
    this.#u8[p + 1] = value >>> 8;
  }

  /** An attribute with a network-order u16. */
  be16(type: number, value: number): void {
    const p = this.attribute(type, 2);
    if (p < 0) return;
    this.#u8[p] = value >>> 8;
    this.#u8[p + 1] = value & 0xff;
  }

  /** An attribute without payload. */
  flag(type: number): void {
    this.attribute(type, 0);
  }

  output(odpPort: number): void {
    this.u32(OvsActionAttr.output, odpPort);
  }

  /** `tpid` and `tci` as numbers; the CFI bit of the TCI is set in the attribute. */
  pushVlan(tpid: number, tci: number): void {
    const p = this.attribute(OvsActionAttr.pushVlan, 4);
    if (p < 0) return;
    this.#be16(p, tpid);
    this.#be16(p + 2, tci | 0x1000);
  }

  popVlan(): void {
    this.flag(OvsActionAttr.popVlan);
  }

  pushMpls(lse: number, ethertype: number): void {
    const p = this.attribute(OvsActionAttr.pushMpls, 8);
    if (p < 0) return;
    this.#be32(p, lse);
    this.#be16(p + 4, ethertype);
  }

  popMpls(ethertype: number): void {
    this.be16(OvsActionAttr.popMpls, ethertype);
  }

  recirc(recircId: number): void {
    this.u32(OvsActionAttr.recirc, recircId);
  }

  hash(algorithm: number, basis: number): void {
    const p = this.attribute(OvsActionAttr.hash, 8);
    if (p < 0) return;
    this.#le32(p, algorithm);
    this.#le32(p + 4, basis);
  }

  trunc(maxLen: number): void {
    this.u32(OvsActionAttr.trunc, maxLen);
  }

  meter(meterId: number): void {
    this.u32(OvsActionAttr.meter, meterId);
  }

  drop(error: number): void {
    this.u32(OvsActionAttr.drop, error);
  }

  ctClear(): void {
    this.flag(OvsActionAttr.ctClear);
  }

  lbOutput(bondId: number): void {
    this.u32(OvsActionAttr.lbOutput, bondId);
  }

  tunnelPop(odpPort: number): void {
    this.u32(OvsActionAttr.tunnelPop, odpPort);
  }

  pushEth(dst: Uint8Array, src: Uint8Array): void {
    const p = this.attribute(OvsActionAttr.pushEth, 12);
    if (p < 0) return;
    this.#u8.set(src.subarray(0, 6), p);
    this.#u8.set(dst.subarray(0, 6), p + 6);
  }

  popEth(): void {
    this.flag(OvsActionAttr.popEth);
  }

  popNsh(): void {
    this.flag(OvsActionAttr.popNsh);
  }

  /**
   * An upcall. `userdata` is an encoded UserCookie; `tunOutPort` the port whose egress tunnel is wanted, or
   * -1; `includeActions` asks for the actions in the upcall (sFlow, IPFIX).
   */
  userspace(pid: number, userdata: Uint8Array | undefined, tunOutPort = -1, includeActions = false): void {
    const nest = this.beginNested(OvsActionAttr.userspace);
    this.u32(OvsUserspaceAttr.pid, pid);
    if (userdata) this.raw(OvsUserspaceAttr.userdata, userdata);
    if (tunOutPort >= 0) this.u32(OvsUserspaceAttr.egressTunPort, tunOutPort);
    if (includeActions) this.flag(OvsUserspaceAttr.actions);
    this.endNested(nest);
  }

  /** Begins `sample(sample=..,actions(..))`; write the actions, then `endSample`. */
  beginSample(probability: number): SampleMark {
    const outer = this.beginNested(OvsActionAttr.sample);
    this.u32(OvsSampleAttr.probability, probability);
    return { outer, inner: this.beginNested(OvsSampleAttr.actions) };
  }

  endSample(mark: SampleMark): void {
    this.endNested(mark.inner);
    this.endNested(mark.outer);
  }

  /** Begins `clone(..)`: end it with `endNested`. */
  beginClone(): number {
    return this.beginNested(OvsActionAttr.clone);
  }

  /** `check_pkt_len(size=..,gt(..),le(..))` with both branches as attributes already written. */
  checkPktLen(packetLength: number, greater: Uint8Array, lessEqual: Uint8Array): void {
    const nest = this.beginNested(OvsActionAttr.checkPktLen);
    this.u16(OvsCheckPktLenAttr.pktLen, packetLength);
    this.raw(OvsCheckPktLenAttr.actionsIfGreater, greater);
    this.raw(OvsCheckPktLenAttr.actionsIfLessEqual, lessEqual);
    this.endNested(nest);
  }

  /** Begins `ct(..)`: the attributes of OvsCtAttr follow, then `endNested`. */
  beginCt(commit: boolean, force: boolean, zone: number): number {
    const nest = this.beginNested(OvsActionAttr.ct);
    if (commit) this.flag(force ? OvsCtAttr.forceCommit : OvsCtAttr.commit);
    if (zone !== 0) this.u16(OvsCtAttr.zone, zone);
    return nest;
  }

  /** `set(..)` with one key attribute. */
  set(keyAttr: number, key: Uint8Array): void {
    const nest = this.beginNested(OvsActionAttr.set);
    this.raw(keyAttr, key);
    this.endNested(nest);
  }

  /** `set(..)` with a mask; key and mask have the same length, key is zero outside the mask. */
  setMasked(keyAttr: number, key: Uint8Array, mask: Uint8Array): void {
    const nest = this.beginNested(OvsActionAttr.setMasked);
    const p = this.attribute(keyAttr, key.length * 2);
    if (p >= 0) {
      this.#u8.set(key, p);
      this.#u8.set(mask, p + key.length);
    }
    this.endNested(nest);
  }

  /** `set(..)` of a host-order u32 key (skb_mark, skb_priority). */
  setU32(keyAttr: typeof OvsKeyAttr.skbMark | typeof OvsKeyAttr.priority, value: number): void {
    const nest = this.beginNested(OvsActionAttr.set);
    this.u32(keyAttr, value);
    this.endNested(nest);
  }

  /** The memory written to; for callers that fill payloads of `attribute` in place. */
  get memory(): Uint8Array {
    return this.#u8;
  }

  #le32(p: number, v: number): void {
    const u8 = this.#u8;
    u8[p] = v & 0xff;
    u8[p + 1] = (v >>> 8) & 0xff;
    u8[p + 2] = (v >>> 16) & 0xff;
    u8[p + 3] = v >>> 24;
  }

  #be16(p: number, v: number): void {
    this.#u8[p] = (v >>> 8) & 0xff;
    this.#u8[p + 1] = v & 0xff;
  }

  #be32(p: number, v: number): void {
    const u8 = this.#u8;
    u8[p] = v >>> 24;
    u8[p + 1] = (v >>> 16) & 0xff;
    u8[p + 2] = (v >>> 8) & 0xff;
    u8[p + 3] = v & 0xff;
  }
}

/** Where a sample action began. */
export interface SampleMark {
  readonly outer: number;
  readonly inner: number;
}
