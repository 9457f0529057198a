import { allocOrThrow } from '../../arena/core.ts';
import { PMD_BURST } from '../../datapath/datapath.layout.ts';
import { PmdLayout } from '../../datapath/generated/pmd.ts';
import { composePacket } from '../../flow/compose.ts';
import { parseExactFlow } from '../../flow/match-parse.ts';
import { PacketLayout } from '../../netdev/generated/packet.ts';
import { TxPortLayout } from '../../datapath/generated/tx-port.ts';
import { KEY_SIZE } from '../../flow/key.layout.ts';
import type { UpcallBench } from './upcall-bench.ts';

/** A kind of megaflow: the rules that make it, and packets that differ in a 32-bit number. */
export interface FlowShape {
  readonly name: string;
  readonly rules: readonly string[];
  /** Text of ofproto/trace. */
  readonly packet: string;
  /** Where the number goes in the frame: its low and its high half, 16 bits each, network order. */
  readonly lowAt: number;
  readonly highAt: number;
  /** Packets that come first: addresses to learn. */
  readonly first?: readonly string[];
}

const ethernet = 'in_port=1,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02';
const tcp = `${ethernet},tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1,tcp_dst=80`;
const fiveTuple =
  'move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],' +
  'move:NXM_OF_TCP_SRC[]->NXM_NX_REG2[0..15],move:NXM_OF_TCP_DST[]->NXM_NX_REG2[16..31]';

/** The shapes that the figures in docs/performance are about. */
export const flowShapes = {
  ipv4: {
    name: 'IPv4 5-tuple',
    rules: [`priority=5,tcp,actions=${fiveTuple},output:2`],
    packet: tcp,
    lowAt: 34,
    highAt: 28,
  },
  normal: {
    name: 'NORMAL',
    rules: ['priority=0,actions=NORMAL'],
    packet: tcp.replace('dl_dst=50', 'dl_dst=52'),
    lowAt: 10,
    highAt: 8,
    first: ['in_port=2,arp,dl_src=52:54:00:00:00:02,dl_dst=50:54:00:00:00:01'],
  },
  ipv6: {
    name: 'IPv6 5-tuple',
    rules: [
      'priority=5,tcp6,actions=move:NXM_NX_IPV6_SRC[]->NXM_NX_XXREG0[],move:NXM_NX_IPV6_DST[]->NXM_NX_XXREG1[],' +
        'move:NXM_OF_TCP_SRC[]->NXM_NX_REG8[0..15],move:NXM_OF_TCP_DST[]->NXM_NX_REG8[16..31],output:2',
    ],
    packet: `${ethernet},tcp6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2,nw_ttl=64,tcp_src=1,tcp_dst=80`,
    lowAt: 54,
    highAt: 36,
  },
  tables: {
    name: '10 tables, IPv4 5-tuple',
    rules: Array.from({ length: 10 }, (_, i) =>
      i < 9
        ? `table=${i},tcp,actions=load:${i}->NXM_NX_REG9[],resubmit(,${i + 1})`
        : `table=9,tcp,actions=${fiveTuple},output:2`,
    ),
    packet: tcp,
    lowAt: 34,
    highAt: 28,
  },
} as const satisfies Record<string, FlowShape>;

/** Room in front of a frame, and all of a buffer: frames are copied by keyCopy, 768 bytes. */
const HEADROOM = 128;
const BUFFER_BYTES = HEADROOM + KEY_SIZE;

/** Sends packets of one shape through a bench in whole bursts, each with a number of its own. */
export class FlowLoad {
  readonly #bench: UpcallBench;
  readonly #shape: FlowShape;
  readonly #batch: number;
  readonly #frames: number[] = [];
  /** The frame as it comes in: actions change the others. */
  readonly #template: number;
  readonly #length: number;
  readonly #firstLow: number;
  readonly #firstHigh: number;

  /** Adds the shape's rules to the first bridge. */
  constructor(bench: UpcallBench, shape: FlowShape) {
    this.#bench = bench;
    this.#shape = shape;
    const { core, bridges } = bench;
    const { dv } = core;
    const name = bridges[0]?.name ?? '';
    for (const rule of shape.rules) bench.addRule(name, rule);
    for (const packet of shape.first ?? []) bench.receive(packet);
    const key = parseExactFlow(shape.packet);
    const bytes = composePacket(key);
    const inPort = new DataView(key.buffer, key.byteOffset).getUint32(4);
    this.#batch = allocOrThrow(core, 4 * PMD_BURST);
    this.#template = allocOrThrow(core, KEY_SIZE);
    core.u8.set(bytes, this.#template);
    this.#length = bytes.length;
    for (let i = 0; i < PMD_BURST; i++) {
      const packet = allocOrThrow(core, PacketLayout.size);
      const buffer = allocOrThrow(core, BUFFER_BYTES);
      dv.setUint32(packet + PacketLayout.data, buffer + HEADROOM, true);
      dv.setUint32(packet + PacketLayout.length, bytes.length, true);
      dv.setUint32(packet + PacketLayout.bufferStart, buffer, true);
      dv.setUint32(packet + PacketLayout.bufferEnd, buffer + BUFFER_BYTES, true);
      dv.setUint32(packet + PacketLayout.inPort, inPort, true);
      dv.setUint32(this.#batch + 4 * i, packet, true);
      this.#frames.push(buffer + HEADROOM);
    }
    this.#firstLow = new DataView(bytes.buffer, bytes.byteOffset).getUint16(shape.lowAt);
    this.#firstHigh = new DataView(bytes.buffer, bytes.byteOffset).getUint16(shape.highAt);
  }

  /** One burst of packets with the numbers from `from` on. @returns How many were sent. */
  burst(from: number, count: number = PMD_BURST): number {
    const { core, pmd, upcaller, clock } = this.#bench;
    const { dv, x } = core;
    const { lowAt, highAt } = this.#shape;
    for (let i = 0; i < count; i++) {
      const n = from + i;
      const frame = this.#frames[i] ?? 0;
      const packet = dv.getUint32(this.#batch + 4 * i, true);
      x.keyCopy(frame, this.#template);
      dv.setUint32(packet + PacketLayout.data, frame, true);
      dv.setUint32(packet + PacketLayout.length, this.#length, true);
      dv.setUint16(frame + highAt, (this.#firstHigh + (n >>> 16)) & 0xffff);
      dv.setUint16(frame + lowAt, (this.#firstLow + n) & 0xffff);
    }
    const nowMs = clock.nowMs();
    x.pmdProcess(pmd, this.#batch, count, nowMs);
    upcaller.run(nowMs);
    let sent = 0;
    for (let tx = dv.getUint32(pmd + PmdLayout.txFirst, true); tx !== 0;) {
      sent += dv.getUint32(tx + TxPortLayout.count, true);
      tx = dv.getUint32(tx + TxPortLayout.nextActive, true);
    }
    x.pmdReset(pmd);
    x.quiesce();
    return sent;
  }

  /** Packets with the numbers [from, to), in bursts. */
  send(from: number, to: number): void {
    for (let n = from; n < to; n += PMD_BURST) this.burst(n, Math.min(PMD_BURST, to - n));
  }
}
