/** Codecs of ports: descriptions, status, port_mod and port statistics. */
import { OfpError } from '../util/errors.ts';
import type { OfpPort } from '../util/brand.ts';
import { ByteWriter } from './byte-io.ts';
import type { ByteReader } from './byte-io.ts';
import { pullProperty } from './decode-long-actions.ts';
import { PortConfig, PortFeature, PortState } from './messages.ts';
import type { PhyPort, PortModMessage, PortStats, PortStatusMessage } from './messages.ts';
import { OFPP_MAX, ofp10ToOfp11Port } from './ports.ts';

const UNKNOWN = 0xffffffffffffffffn;
/** OFPPC_* bits that 1.1+ has. */
const CONFIG_11 = PortConfig.PORT_DOWN | PortConfig.NO_RECV | PortConfig.NO_FWD | PortConfig.NO_PACKET_IN;
const CONFIG_10 = 0x7f;
const STATE_11 = PortState.LINK_DOWN | PortState.BLOCKED | PortState.LIVE;
const STATE_10 = PortState.LINK_DOWN | PortState.STP_MASK;
/** Feature bits 0-6 are the same in all versions; 1.0 has COPPER ... AUTO_PAUSE_ASYM at 7-11. */
const SPEEDS_10 = 0x7f;
const portReasons = ['add', 'delete', 'modify'] as const;

function featuresTo10(bits: number): number {
  return (bits & SPEEDS_10) | ((bits >>> 4) & 0xf80);
}
function featuresFrom10(bits: number): number {
  return (bits & SPEEDS_10) | ((bits & 0xf80) << 4);
}

const speeds: readonly (readonly [bits: number, kbps: number])[] = [
  [PortFeature['1TB_FD'], 1_000_000_000],
  [PortFeature['100GB_FD'], 100_000_000],
  [PortFeature['40GB_FD'], 40_000_000],
  [PortFeature['10GB_FD'], 10_000_000],
  [PortFeature['1GB_HD'] | PortFeature['1GB_FD'], 1_000_000],
  [PortFeature['100MB_HD'] | PortFeature['100MB_FD'], 100_000],
  [PortFeature['10MB_HD'] | PortFeature['10MB_FD'], 10_000],
];

/** Highest speed among feature bits, 0 when there is none (as 1.0, which has no speed fields). */
function featuresToKbps(bits: number): number {
  return speeds.find(([mask]) => (bits & mask) !== 0)?.[1] ?? 0;
}

export function portFromOfp11(number: number): OfpPort {
  if (number >= OFPP_MAX && number < 0xffffff00) throw new OfpError('OFPBAC_BAD_OUT_PORT');
  return number as OfpPort;
}

export function putPort(w: ByteWriter, p: PhyPort, version: number): void {
  if (version === 1) {
    w.u16(p.port & 0xffff)
      .bytes(p.hwAddr)
      .text(p.name, 16);
    w.u32(p.config & CONFIG_10).u32(p.state & STATE_10);
    for (const bits of [p.curr, p.advertised, p.supported, p.peer]) w.u32(featuresTo10(bits));
    return;
  }
  const start = w.length;
  w.u32(p.port).zeros(4).bytes(p.hwAddr).zeros(2).text(p.name, 16);
  w.u32(p.config & CONFIG_11).u32(p.state & STATE_11);
  if (version >= 5) w.u16(0).u16(32).zeros(4);
  w.u32(p.curr).u32(p.advertised).u32(p.supported).u32(p.peer).u32(p.currSpeedKbps).u32(p.maxSpeedKbps);
  if (version >= 5) w.setU16(start + 4, w.length - start);
}

/** One description as bytes of its own. */
export function portEntry(p: PhyPort, version: number): Uint8Array {
  const w = new ByteWriter();
  putPort(w, p, version);
  return w.finish();
}

/** Features that ports of 1.1 and later can have. */
const FEATURES_11 = 0xffff;
const features11 = (r: ByteReader): number => r.u32() & FEATURES_11;

function pullPort14(r: ByteReader, port: OfpPort, length: number): PhyPort {
  const start = r.at - 8;
  const hwAddr = r.bytes(6);
  r.skip(2);
  const name = r.text(16);
  const config = r.u32() & CONFIG_11;
  const state = r.u32() & STATE_11;
  const numbers = { curr: 0, advertised: 0, supported: 0, peer: 0, currSpeedKbps: 0, maxSpeedKbps: 0 };
  const left = length - (r.at - start);
  if (left < 0) throw new OfpError('OFPBRC_BAD_LEN');
  const props = r.sub(left);
  while (props.left > 0) {
    const { type, body } = pullProperty(props);
    if (type !== 0) continue;
    body.skip(4);
    numbers.curr = features11(body);
    numbers.advertised = features11(body);
    numbers.supported = features11(body);
    numbers.peer = features11(body);
    numbers.currSpeedKbps = body.u32();
    numbers.maxSpeedKbps = body.u32();
  }
  return { port, hwAddr, name, config, state, ...numbers };
}

export function pullPort(r: ByteReader, version: number): PhyPort {
  if (version === 1) {
    const port = ofp10ToOfp11Port(r.u16());
    const hwAddr = r.bytes(6);
    const name = r.text(16);
    const config = r.u32() & CONFIG_10;
    const state = r.u32() & STATE_10;
    const curr = featuresFrom10(r.u32());
    const advertised = featuresFrom10(r.u32());
    const supported = featuresFrom10(r.u32());
    const peer = featuresFrom10(r.u32());
    const currSpeedKbps = featuresToKbps(curr);
    const maxSpeedKbps = featuresToKbps(supported);
    return {
      port,
      hwAddr,
      name,
      config,
      state,
      curr,
      advertised,
      supported,
      peer,
      currSpeedKbps,
      maxSpeedKbps,
    };
  }
  const port = portFromOfp11(r.u32());
  const length = r.u16();
  r.skip(2);
  if (version >= 5) return pullPort14(r, port, length);
  const hwAddr = r.bytes(6);
  r.skip(2);
  const name = r.text(16);
  const config = r.u32() & CONFIG_11;
  const state = r.u32() & STATE_11;
  return {
    port, hwAddr, name, config, state, curr: features11(r), advertised: features11(r),
    supported: features11(r), peer: features11(r),
    currSpeedKbps: r.u32(), maxSpeedKbps: r.u32(),
  }; // prettier-ignore
}

export function putPortStatus(w: ByteWriter, m: PortStatusMessage, version: number): void {
  w.u8(portReasons.indexOf(m.reason)).zeros(7);
  putPort(w, m.desc, version);
}

export function pullPortStatus(r: ByteReader, version: number): PortStatusMessage {
  const reason = portReasons[r.u8()];
  if (!reason) throw new OfpError('NXBRC_BAD_REASON');
  r.skip(7);
  return { type: 'port_status', reason, desc: pullPort(r, version) };
}

export function putPortMod(w: ByteWriter, m: PortModMessage, version: number): void {
  if (version === 1) {
    w.u16(m.port & 0xffff)
      .bytes(m.hwAddr)
      .u32(m.config & CONFIG_10)
      .u32(m.mask & CONFIG_10);
    w.u32(featuresTo10(m.advertise)).zeros(4);
    return;
  }
  w.u32(m.port)
    .zeros(4)
    .bytes(m.hwAddr)
    .zeros(2)
    .u32(m.config & CONFIG_11)
    .u32(m.mask & CONFIG_11);
  if (version >= 5) {
    if (m.advertise !== 0) w.u16(0).u16(8).u32(m.advertise);
  } else w.u32(m.advertise).zeros(4);
}

export function pullPortMod(r: ByteReader, version: number): PortModMessage {
  const type = 'port_mod';
  if (version === 1) {
    const port = ofp10ToOfp11Port(r.u16());
    const hwAddr = r.bytes(6);
    const config = r.u32();
    const mask = r.u32();
    return {
      type,
      port,
      hwAddr,
      config: config & mask & CONFIG_10,
      mask: mask & CONFIG_10,
      advertise: featuresFrom10(r.u32()),
    };
  }
  const port = portFromOfp11(r.u32());
  r.skip(4);
  const hwAddr = r.bytes(6);
  r.skip(2);
  const config = r.u32() & CONFIG_11;
  const mask = r.u32() & CONFIG_11;
  let advertise = 0;
  if (version >= 5) {
    while (r.left > 0) {
      const prop = pullProperty(r);
      if (prop.type !== 0) throw new OfpError('OFPBPC_BAD_TYPE');
      advertise = prop.body.u32();
    }
  } else advertise = r.u32();
  return { type, port, hwAddr, config: config & mask, mask, advertise: advertise & FEATURES_11 };
}

/** Counters in the order of 1.0-1.3. */
const counters = [
  'rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxDropped', 'txDropped', 'rxErrors', 'txErrors',
  'rxFrameErr', 'rxOverErr', 'rxCrcErr', 'collisions',
] as const satisfies readonly (keyof PortStats)[]; // prettier-ignore
const counters14 = counters.slice(0, 8);
const ethernetCounters = counters.slice(8);

const sec = (ms: number | null): number => (ms === null ? 0xffffffff : Math.floor(ms / 1000));
const nsec = (ms: number | null): number => (ms === null ? 0xffffffff : Math.round((ms % 1000) * 1e6));

/** Duration from the wire: all ones is unknown. */
export function pullDuration(r: ByteReader): number | null {
  const s = r.u32();
  const n = r.u32();
  return s === 0xffffffff && n === 0xffffffff ? null : s * 1000 + n / 1e6;
}
export function putDuration(w: ByteWriter, ms: number | null): void {
  w.u32(sec(ms)).u32(nsec(ms));
}

export function portStatsEntry(s: PortStats, version: number): Uint8Array {
  const w = new ByteWriter();
  if (version >= 5) {
    w.u16(120).zeros(2).u32(s.port);
    putDuration(w, s.durationMs);
    for (const name of counters14) w.u64(s[name]);
    w.u16(0).u16(40).zeros(4);
    for (const name of ethernetCounters) w.u64(s[name]);
    return w.finish();
  }
  if (version === 1) w.u16(s.port & 0xffff).zeros(6);
  else w.u32(s.port).zeros(4);
  for (const name of counters) w.u64(s[name]);
  if (version === 4) putDuration(w, s.durationMs);
  return w.finish();
}

function pullCounters(
  r: ByteReader,
  names: readonly (typeof counters)[number][],
): Partial<Record<(typeof counters)[number], bigint>> {
  return Object.fromEntries(names.map((name) => [name, r.u64()]));
}

const unknownCounters = Object.fromEntries(counters.map((name) => [name, UNKNOWN])) as Record<
  (typeof counters)[number],
  bigint
>;

export function pullPortStats(r: ByteReader, version: number): PortStats {
  if (version >= 5) {
    const length = r.u16();
    r.skip(2);
    const port = portFromOfp11(r.u32());
    const durationMs = pullDuration(r);
    const common = pullCounters(r, counters14);
    let ethernet = {};
    if (length < 80) throw new OfpError('OFPBRC_BAD_LEN');
    const props = r.sub(length - 80);
    while (props.left > 0) {
      const { type, body } = pullProperty(props);
      if (type !== 0) continue;
      body.skip(4);
      ethernet = pullCounters(body, ethernetCounters);
    }
    return { port, ...unknownCounters, ...common, ...ethernet, durationMs };
  }
  const port = version === 1 ? ofp10ToOfp11Port(r.u16()) : portFromOfp11(r.u32());
  r.skip(version === 1 ? 6 : 4);
  const values = pullCounters(r, counters);
  return { port, ...unknownCounters, ...values, durationMs: version === 4 ? pullDuration(r) : null };
}
