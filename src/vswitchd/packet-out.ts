import type { ArenaClock } from '../arena/clock.ts';
import type { Core } from '../arena/core.ts';
import { setPmdNowMs } from '../datapath/generated/pmd.ts';
import type { PmdLoop } from '../datapath/providers/userspace/pmd-loop.ts';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { KeyLayout } from '../flow/generated/key.ts';
import { PacketLayout } from '../netdev/generated/packet.ts';
import type { OfprotoHandle, PacketOutRequest } from '../ofproto/ofproto-types.ts';
import type { SnapshotReader } from '../ofproto/snapshot.ts';
import type { Translator } from '../ofproto/translate/translator.ts';
import { ArenaFullError, OfpError } from '../util/errors.ts';

/** Room before the frame for pushed VLAN tags and a vnet header. */
const headroom = 128;
const maxFrame = 65535;

/**
 * Executes packet-outs on main: the packet goes through the bridge's translation and main's own
 * forwarding loop, at once and in the order of the requests.
 *
 * Threads: main only.
 */
export class PacketOutPath {
  readonly #core: Core;
  readonly #clock: ArenaClock;
  readonly #loop: PmdLoop;
  readonly #translator: Translator;
  readonly #snapshots: SnapshotReader;
  readonly #packet: number;
  readonly #buffer: number;
  readonly #key: number;

  constructor(
    core: Core,
    clock: ArenaClock,
    loop: PmdLoop,
    translator: Translator,
    snapshots: SnapshotReader,
  ) {
    this.#core = core;
    this.#clock = clock;
    this.#loop = loop;
    this.#translator = translator;
    this.#snapshots = snapshots;
    this.#packet = core.x.alloc(PacketLayout.size) >>> 0;
    this.#buffer = core.x.alloc(headroom + maxFrame + 1 + headroom) >>> 0;
    this.#key = core.x.alloc(KEY_SIZE) >>> 0;
    if (this.#packet === 0 || this.#buffer === 0 || this.#key === 0) throw new ArenaFullError(maxFrame);
  }

  /** @throws OfpError when the frame is larger than any device takes. */
  execute(ofproto: OfprotoHandle, request: PacketOutRequest): void {
    if (request.packet.length > maxFrame) throw new OfpError('OFPBRC_BAD_PACKET');
    const bridge = this.#snapshots.get().bridgeById(ofproto.bridgeId);
    if (bridge === undefined) return;
    const { dv, x } = this.#core;
    const nowMs = this.#clock.nowMs();
    const packet = this.#load(request.packet);
    const inPort = new DataView(request.flow.buffer, request.flow.byteOffset).getUint32(KeyLayout.inPort);
    dv.setUint32(packet + PacketLayout.inPort, bridge.port(inPort)?.odp ?? 0xffff_ffff, true);
    const present = x.extract(packet, this.#key) >>> 0;
    dv.setUint32(packet + PacketLayout.key, this.#key, true);
    dv.setUint32(packet + PacketLayout.present, present, true);
    this.#withPipelineFields(request.flow);
    const result = this.#translator.translate({
      bridge,
      flow: this.#key,
      packet,
      packets: 1,
      bytes: request.packet.length,
      usedMs: nowMs,
      tcpFlags: dv.getUint16(packet + PacketLayout.tcpFlags, true),
      allowSideEffects: true,
      wantXcache: false,
      wantWc: false,
      ofpacts: request.actions,
      ofpactsWords: request.actionsLength >>> 2,
      trace: null,
    });
    dv.setUint32(this.#key + KeyLayout.inPort, dv.getUint32(packet + PacketLayout.inPort, true));
    if (result.actionsLength > 0) {
      setPmdNowMs(dv, this.#loop.pmd, nowMs);
      x.pmdExecute(this.#loop.pmd, packet, result.actions, result.actionsLength);
      this.#loop.finishBurst(nowMs);
    }
  }

  /** Puts frame bytes into the arena and describes them. */
  #load(bytes: Uint8Array): number {
    const { dv, u8 } = this.#core;
    const packet = this.#packet;
    const data = this.#buffer + headroom;
    u8.fill(0, packet, packet + PacketLayout.size);
    u8.set(bytes, data);
    dv.setUint32(packet + PacketLayout.data, data, true);
    dv.setUint32(packet + PacketLayout.length, bytes.length, true);
    dv.setUint32(packet + PacketLayout.bufferStart, this.#buffer, true);
    dv.setUint32(packet + PacketLayout.bufferEnd, data + maxFrame + 1 + headroom, true);
    return packet;
  }

  /** in_port, tunnel, registers and metadata come from the request; headers from the frame. */
  #withPipelineFields(flow: Uint8Array): void {
    const { u8 } = this.#core;
    const copy = (from: number, to: number): void => {
      u8.set(flow.subarray(from, to), this.#key + from);
    };
    copy(KeyLayout.inPort, KeyLayout.inPort + 4);
    copy(KeyLayout.packetType, KeyLayout.pktMark + 4);
    copy(KeyLayout.tunDst, KEY_SIZE);
  }
}
