import { allocOrThrow, type Core } from '../../arena/core.ts';
import { MegaflowLayout } from '../../datapath/generated/megaflow.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { pmdTransmits } from '../../datapath/packet-path.ts';
import { composePacket } from '../../flow/compose.ts';
import { parseExactFlow } from '../../flow/match-parse.ts';
import { PacketLayout } from '../../netdev/generated/packet.ts';
import { formatOdpActions } from '../../odp/actions-format.ts';
import type { BridgePacketIn } from '../upcall/packet-in-event.ts';
import { Revalidator } from '../upcall/revalidator.ts';
import { Udpif, udpifDefaults, type UdpifConfig } from '../upcall/udpif.ts';
import { Upcaller } from '../upcall/upcaller.ts';
import { TranslationBench, type BenchBridge } from './translation-bench.ts';

/**
 * A PMD with upcalls and revalidators over bridges of a TranslationBench, all in one thread, under a clock
 * that the test moves: packets in, packets out, flows looked at.
 */
export class UpcallBench extends TranslationBench {
  readonly pmd: number;
  readonly udpif: Udpif;
  readonly upcaller: Upcaller;
  revalidators: Revalidator[] = [];
  readonly packetIns: BridgePacketIn[] = [];
  readonly #packet: number;
  readonly #frame: number;
  readonly #batch: number;

  constructor(bridges: readonly BenchBridge[], config: Partial<UdpifConfig> = {}, arena?: Core) {
    super(bridges, arena);
    const { core, clock } = this;
    this.pmd = core.x.pmdCreate(0) >>> 0;
    // Every hit goes through the classifier, so that counts are plain.
    core.x.pmdSetEmcInsertInvProb(this.pmd, 0);
    this.udpif = Udpif.create(core, { ...udpifDefaults, ...config });
    this.udpif.addPmd(this.pmd);
    this.upcaller = new Upcaller({
      core,
      pmd: this.pmd,
      udpif: this.udpif.address,
      clock,
      events: this.#events,
    });
    this.#packet = allocOrThrow(core, PacketLayout.size);
    this.#frame = allocOrThrow(core, 4096);
    this.#batch = allocOrThrow(core, 16);
  }

  readonly #events = { packetIn: (event: BridgePacketIn): void => void this.packetIns.push(event) };

  startRevalidators(n: number): void {
    this.udpif.setThreads(n);
    this.revalidators = Array.from({ length: n }, (_, index) => this.revalidator(index));
  }

  revalidator(index: number): Revalidator {
    const { core, udpif } = this;
    // A clock that runs, as far as revalidators can tell: they keep their distances.
    const clock = { nowMs: () => this.clock.nowMs(), wallMs: () => this.clock.wallMs() };
    return new Revalidator({ core, clock, udpif: udpif.address, index, events: this.#events });
  }

  /** Receives a packet of this flow (text of ofproto/trace, in_port = datapath port). @returns `port` per copy sent. */
  receive(flow: string): number[] {
    const { core, pmd } = this;
    const { dv, u8, x } = core;
    const key = parseExactFlow(flow);
    const bytes = composePacket(key);
    const packet = this.#packet;
    u8.fill(0, packet, packet + PacketLayout.size);
    const data = this.#frame + 256;
    u8.set(bytes, data);
    dv.setUint32(packet + PacketLayout.data, data, true);
    dv.setUint32(packet + PacketLayout.length, bytes.length, true);
    dv.setUint32(packet + PacketLayout.bufferStart, this.#frame, true);
    dv.setUint32(packet + PacketLayout.bufferEnd, this.#frame + 4096, true);
    dv.setUint32(packet + PacketLayout.inPort, new DataView(key.buffer, key.byteOffset).getUint32(4), true);
    dv.setUint32(this.#batch, packet, true);
    x.pmdProcess(pmd, this.#batch, 1, this.clock.nowMs());
    this.upcaller.run(this.clock.nowMs());
    const sent: number[] = [];
    for (const [port, packets] of pmdTransmits(core, pmd)) sent.push(...packets.map(() => port));
    x.pmdReset(pmd);
    x.quiesce();
    return sent.sort((a, b) => a - b);
  }

  /** A function that receives a TCP packet of this flow with any source port, for benchmarks. */
  sender(flow: string): (tcpSrc: number) => void {
    this.receive(flow);
    const { core, pmd } = this;
    const at = this.#frame + 256 + 34;
    return (tcpSrc) => {
      core.dv.setUint16(at, tcpSrc);
      core.x.pmdProcess(pmd, this.#batch, 1, this.clock.nowMs());
      this.upcaller.run(this.clock.nowMs());
      core.x.pmdReset(pmd);
    };
  }

  /** Steps all revalidators until none has anything to do now. */
  settle(): void {
    for (let turn = 0; turn < 10_000; turn++) {
      let worked = 0;
      for (const r of this.revalidators) worked += r.step(this.clock.nowMs());
      this.core.x.quiesce();
      if (worked === 0) return;
    }
    throw new Error('revalidators do not come to rest');
  }

  /** Time passes; revalidators do what falls due. */
  advance(ms: number, stepMs = 5): void {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      this.settle();
    }
  }

  /** Addresses of the megaflows. */
  flows(): number[] {
    const { dv } = this.core;
    const slots = dv.getUint32(this.pmd + PmdLayout.flowSlots, true);
    const capacity = dv.getUint32(this.pmd + PmdLayout.flowCapacity, true);
    const list: number[] = [];
    for (let i = 0; i < capacity; i++) {
      const mf = dv.getUint32(slots + 4 * i, true);
      if (mf !== 0) list.push(mf);
    }
    return list;
  }

  /** `packets actions state` of each megaflow. */
  describe(): string[] {
    const { dv, u8, x } = this.core;
    return this.flows().map((mf) => {
      const at = x.megaflowActions(mf) >>> 0;
      const actions = formatOdpActions(u8.slice(at, at + (x.megaflowActionsLength(mf) >>> 0)));
      const packets = dv.getFloat64(mf + MegaflowLayout.packets, true);
      return `${packets} ${actions} ${dv.getUint32(mf + MegaflowLayout.state, true)}`;
    });
  }
}
