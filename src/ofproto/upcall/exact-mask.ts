import type { Core } from '../../arena/core.ts';
import { isNd, wildcardsForPacket } from '../../flow/flow-wildcards.ts';
import { KeyLayout as K } from '../../flow/generated/key.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';

const ETH_IP = 0x0800;
const ETH_ARP = 0x0806;
const ETH_IPV6 = 0x86dd;
/** Kinds of packets whose masks are kept. */
const MAX_KEPT = 512;

/**
 * Exact masks (`upcall/disable-megaflows`): every field that a packet has. They depend on the kind of packet
 * only, so that one is kept for each kind of IP and ARP packet seen; what is rare is worked out anew.
 *
 * Owned by one thread; masks are arena memory of this object.
 */
export class ExactMasks {
  readonly #core: Core;
  readonly #masks = new Map<number, number>();

  constructor(core: Core) {
    this.#core = core;
  }

  destroy(): void {
    for (const mask of this.#masks.values()) this.#core.x.free(mask);
    this.#masks.clear();
  }

  /** Writes the mask of the packet with this key to `out`; both are arena addresses of 768 bytes. */
  write(key: number, out: number): void {
    const { u8, x } = this.#core;
    const kind = this.#kindOf(key);
    const kept = kind < 0 ? undefined : this.#masks.get(kind);
    if (kept !== undefined) {
      x.keyCopy(out, kept);
      return;
    }
    u8.set(wildcardsForPacket(u8.slice(key, key + KEY_SIZE)), out);
    if (kind < 0 || this.#masks.size >= MAX_KEPT) return;
    const mask = x.alloc(KEY_SIZE) >>> 0;
    if (mask === 0) return;
    x.keyCopy(mask, out);
    this.#masks.set(kind, mask);
  }

  /** A number for all that the mask depends on, -1 when it depends on more. */
  #kindOf(key: number): number {
    const { dv, u8 } = this.#core;
    const type = dv.getUint16(key + K.dlType);
    if (type !== ETH_IP && type !== ETH_IPV6 && type !== ETH_ARP) return -1;
    if (dv.getUint32(key + K.packetType) !== 0) return -1;
    for (let at: number = K.tunDst; at < K.tunMetadata; at += 4) if (dv.getUint32(key + at) !== 0) return -1;
    const proto = u8[key + K.nwProto] ?? 0;
    const isTagged = dv.getUint16(key + K.vlanTci0) !== 0 ? 1 : 0;
    const isLater = ((u8[key + K.nwFrag] ?? 0) & 2) !== 0 ? 2 : 0;
    // Told from other ICMPv6 by its type and code.
    const nd = type === ETH_IPV6 && proto === 58 && isNd(u8.subarray(key, key + KEY_SIZE)) ? 4 : 0;
    return type * 2048 + proto * 8 + (isTagged | isLater | nd);
  }
}
