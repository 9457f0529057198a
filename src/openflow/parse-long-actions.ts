/** Readers of the actions with lists inside: bundle, multipath, sample, nat, encap, decap. */
import { splitKeyValues } from '../flow/key-values.ts';
import { parseOfpPort } from '../flow/ofp-port-text.ts';
import type { PortMap } from '../flow/port-map.ts';
import { parseSubfieldText } from '../flow/subfield-text.ts';
import type { OfpPort } from '../util/brand.ts';
import { UsageError } from '../util/errors.ts';
import { parseIpv4, parseIpv6 } from '../wire/address.ts';
import { bundleAlgorithms, hashFields, multipathAlgorithms } from './action-numbers.ts';
import type { Action, EncapProperty, NatAction, SampleAction } from './actions.ts';
import { parseInteger, parseU16, parseU32 } from './numbers.ts';

function fail(message: string): never {
  throw new UsageError(message);
}

const atoi = (text: string): number => parseInt(text, 10) || 0;

export function parseBundle(arg: string, ports: PortMap, isLoad: boolean): Action {
  const parts = arg.split(/[, ]+/).filter((x) => x !== '');
  const [fields = '', basis = '', algorithm = '', memberType = ''] = parts;
  let at = 4;
  const dstText = isLoad ? parts[at++] : undefined;
  const delimiter = parts[at] ?? '';
  if (delimiter === '') fail(`${arg}: not enough arguments to bundle action`);
  const m = /^(?:members|slaves):(.*)$/.exec(delimiter);
  if (!m)
    return fail(
      `${arg}: missing member delimiter, expected \`members', got \`${delimiter.split(':')[0] ?? ''}'`,
    );
  const slaves = [m[1] ?? '', ...parts.slice(at + 1)]
    .filter((x) => x !== '')
    .map((x) => (parseOfpPort(x, ports) ?? fail(`${x}: bad port number`)) as OfpPort);
  const hash =
    hashFields.find((f) => f.toLowerCase() === fields.toLowerCase()) ??
    fail(`${arg}: unknown fields \`${fields}'`);
  const alg =
    bundleAlgorithms.find((a) => a === algorithm.toLowerCase()) ??
    fail(`${arg}: unknown algorithm \`${algorithm}'`);
  if (memberType.toLowerCase() !== 'ofport') fail(`${arg}: unknown member_type \`${memberType}'`);
  const common = {
    kind: 'bundle',
    fields: hash,
    basis: atoi(basis) & 0xffff,
    algorithm: alg,
    slaves,
  } as const;
  if (dstText === undefined) return common;
  const dst = parseSubfieldText(dstText);
  if (!dst.field.writable) fail(`${arg}: destination field is not writable`);
  return { ...common, dst };
}

export function parseMultipath(arg: string): Action {
  const parts = arg.split(/[, ]+/).filter((x) => x !== '');
  const [fields = '', basis = '', algorithm = '', links = '', extra = '', dstText = ''] = parts;
  if (dstText === '') fail(`${arg}: not enough arguments to multipath action`);
  const hash =
    hashFields.find((f) => f.toLowerCase() === fields.toLowerCase()) ??
    fail(`${arg}: unknown fields \`${fields}'`);
  const alg =
    multipathAlgorithms.find((a) => a === algorithm.toLowerCase()) ??
    fail(`${arg}: unknown algorithm \`${algorithm}'`);
  const nLinks = atoi(links);
  if (nLinks < 1 || nLinks > 65536) fail(`${arg}: n_links ${nLinks} is not in valid range 1 to 65536`);
  const dst = parseSubfieldText(dstText);
  if (dst.nBits < 16 && nLinks > 2 ** dst.nBits) {
    fail(
      `${arg}: ${dst.nBits}-bit destination field has ${2 ** dst.nBits} possible values, less than specified n_links ${nLinks}`,
    );
  }
  return {
    kind: 'multipath', fields: hash, basis: atoi(basis) & 0xffff, algorithm: alg, maxLink: nLinks - 1,
    arg: atoi(extra) >>> 0, dst,
  }; // prettier-ignore
}

export function parseSample(arg: string, ports: PortMap): SampleAction {
  let probability = 0;
  let collectorSetId = 0;
  let obsDomainId = 0;
  let obsPointId = 0;
  let samplingPort = 0xffffffff as OfpPort;
  let direction: SampleAction['direction'] = 'default';
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'probability') {
      probability = parseU16(value, 'probability');
      if (probability === 0) fail(`invalid probability value "${value}"`);
    } else if (key === 'collector_set_id') collectorSetId = parseU32(value);
    else if (key === 'obs_domain_id') obsDomainId = parseU32(value);
    else if (key === 'obs_point_id') obsPointId = parseU32(value);
    else if (key === 'sampling_port') {
      samplingPort = (parseOfpPort(value, ports) ?? fail(`${value}: unknown port`)) as OfpPort;
    } else if (key === 'ingress' || key === 'egress') direction = key;
    else fail(`invalid key "${key}" in "sample" argument`);
  }
  if (probability === 0) fail('non-zero "probability" must be specified on sample');
  return {
    kind: 'sample', probability, collectorSetId, obsDomainId, obsPointId, samplingPort, direction, raw: 'sample',
  }; // prettier-ignore
}

interface NatRange {
  readonly addrMin?: Uint8Array;
  readonly addrMax?: Uint8Array;
  readonly protoMin?: number;
  readonly protoMax?: number;
}

function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}

const v4 = '\\d{1,3}(?:\\.\\d{1,3}){3}';

/** `ADDR[-ADDR][:PORT[-PORT]]`, IPv6 addresses in brackets when ports follow. */
function parseNatRange(text: string): NatRange {
  const invalid = (): never => fail(`invalid nat range "${text}"`);
  const four = new RegExp(`^(${v4})(?:-(${v4}))?`).exec(text);
  const six = four
    ? null
    : /^(?:\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+))(?:-(?:\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+)))?/.exec(text);
  const read = (t: string | undefined): Uint8Array | undefined =>
    t === undefined ? undefined : four ? parseIpv4(t) : parseIpv6(t);
  let rest = text;
  let addrMin: Uint8Array | undefined;
  let addrMax: Uint8Array | undefined;
  const found = four ?? six;
  if (found) {
    const low = four ? four[1] : (six?.[1] ?? six?.[2]);
    const high = four ? four[2] : (six?.[3] ?? six?.[4]);
    addrMin = read(low);
    if (addrMin) {
      rest = text.slice(found[0].length);
      if (high !== undefined) {
        addrMax = read(high) ?? invalid();
        if (isLess(addrMax, addrMin)) invalid();
      } else if (rest.startsWith('-')) invalid();
    }
  }
  let protoMin: number | undefined;
  let protoMax: number | undefined;
  if (addrMin && rest.startsWith(':')) {
    const m = /^:(\d+)(?:-(\d+))?/.exec(rest);
    if (!m) return invalid();
    protoMin = Number(m[1]);
    rest = rest.slice(m[0].length);
    if (m[2] !== undefined) protoMax = Number(m[2]);
    if (protoMin > 0xffff || (protoMax ?? 0) > 0xffff) invalid();
    if ((protoMax !== undefined && protoMax < protoMin) || rest.startsWith('-')) invalid();
  }
  if (rest !== '') fail(`garbage (${rest}) after nat range "${text}" (pos: ${text.length - rest.length})`);
  return {
    ...(addrMin && { addrMin }),
    ...(addrMax && { addrMax }),
    ...(protoMin !== undefined && protoMin !== 0 && { protoMin }),
    ...(protoMax !== undefined && protoMax !== 0 && { protoMax }),
  };
}

export function parseNat(arg: string): NatAction {
  let isSrc = false;
  let isDst = false;
  let persistent = false;
  let isHash = false;
  let isRandom = false;
  let range: NatRange = {};
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'src' || key === 'dst') {
      if (key === 'src') isSrc = true;
      else isDst = true;
      range = parseNatRange(value);
    } else if (key === 'persistent') persistent = true;
    else if (key === 'hash') isHash = true;
    else if (key === 'random') isRandom = true;
    else fail(`invalid key "${key}" in "nat" argument`);
  }
  if (isSrc && isDst) fail('May only specify one of "src" or "dst".');
  if (!isSrc && !isDst) {
    if (persistent || isHash || isRandom) fail('Flags allowed only with "src" or "dst".');
    if (range.addrMin) fail('Range allowed only with "src" or "dst".');
  }
  if (isHash && isRandom) fail('Both "hash" and "random" are not allowed.');
  return {
    kind: 'nat',
    direction: isSrc ? 'src' : isDst ? 'dst' : null,
    persistent,
    portMode: isHash ? 'hash' : isRandom ? 'random' : null,
    ...range,
  };
}

const NSH_CLASS = 4;
const PT_NSH = 0x1894f;

function hexValue(text: string): Uint8Array | undefined {
  const m = /^(?:0[xX])?([0-9a-fA-F]+)$/.exec(text);
  if (!m) return undefined;
  const digits = (m[1] ?? '').length % 2 === 0 ? (m[1] ?? '') : `0${m[1] ?? ''}`;
  return Uint8Array.from(digits.match(/../g) ?? [], (x) => parseInt(x, 16));
}

function parseProp(key: string, value: string): EncapProperty {
  if (value === '') fail(`Missing the value for property: ${key}`);
  if (key === 'md_type') {
    const type = Number(parseInteger(value) ?? -1n);
    if (type !== 1 && type !== 2) fail('invalid md_type');
    return { class: NSH_CLASS, type: 1, data: Uint8Array.of(type) };
  }
  if (key !== 'tlv') fail(`Invalid property: ${key}`);
  const [tlvClass = '', tlvType = '', data = ''] = value.split(',').map((x) => x.trim());
  const c = parseInteger(tlvClass);
  const t = parseInteger(tlvType);
  const bytes = hexValue(data);
  if (c === undefined || c > 0xffffn) return fail('Invalid NSH TLV header: ' + value);
  if (t === undefined || t > 0xffn || !bytes || bytes.length === 0 || bytes.length > 124) {
    return fail('Invalid NSH TLV header: ' + value);
  }
  const head = Uint8Array.of(Number(c) >> 8, Number(c) & 0xff, Number(t), bytes.length);
  // The property is as long as its padding makes it.
  const padding = (8 - (bytes.length % 8)) % 8;
  return {
    class: NSH_CLASS,
    type: 2,
    data: Uint8Array.from([...head, ...bytes, ...new Uint8Array(padding)]),
  };
}

export function parseEncap(arg: string): Action {
  const [first] = splitKeyValues(arg);
  if (!first) return fail(`Missing encap hdr: ${arg}`);
  if (first.key !== 'ethernet' && first.key !== 'nsh') fail(`Encap hdr not supported: ${first.value}`);
  const props = splitKeyValues(first.value).map(({ key, value }) => parseProp(key, value));
  return { kind: 'encap', packetType: first.key === 'nsh' ? PT_NSH : 0, hdrSize: 0, props };
}

export function parseDecap(arg: string): Action {
  const [first] = splitKeyValues(arg);
  if (!first) return { kind: 'decap', newPacketType: 0xfffe };
  if (first.key !== 'packet_type') fail(`Invalid decap argument: ${first.key}`);
  const [ns, type] = splitKeyValues(first.value);
  if (ns?.key !== 'ns') return fail('Missing packet_type attribute ns');
  const nsNumber = parseU16(ns.value, 'ns');
  if (nsNumber > 1) fail(`Unsupported ns value: ${nsNumber}`);
  if (type?.key !== 'type') return fail('Missing packet_type attribute type');
  return { kind: 'decap', newPacketType: ((nsNumber << 16) | parseU16(type.value, 'type')) >>> 0 };
}
