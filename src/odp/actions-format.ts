import { formatIpv4, formatIpv6, formatMac } from '../wire/address.ts';
import { be16, be32, formatFlags, hexBytes, hexNumber, hexPadded, isOnes } from '../flow/numbers-text.ts';
import { WireError } from '../util/errors.ts';
import {
  OvsActionAttr as A,
  OvsCheckPktLenAttr,
  OvsCtAttr,
  OvsHashAlg,
  OvsKeyAttr,
  OvsNatAttr,
  OvsNshKeyAttr,
  OvsSampleAttr,
  OvsUserspaceAttr,
  slowPathExplanations,
} from './attrs.ts';
import { attributeMap, le16, le32, parseAttributes } from './attributes.ts';
import { formatOdpAttribute } from './key-format.ts';
import type { OdpPortNames } from './key-format.ts';
import { formatTnlPush } from './tnl-push.ts';
import { decodeUserCookie } from './user-cookie.ts';

/**
 * Datapath actions as `dpctl/dump-flows` and `ofproto/trace` print them; `drop` for none.
 *
 * @param ports Names to print instead of port numbers.
 * @throws WireError for malformed attributes.
 */
export function formatOdpActions(bytes: Uint8Array, ports?: OdpPortNames): string {
  if (bytes.length === 0) return 'drop';
  return parseAttributes(bytes)
    .map(({ type, payload }) => formatAction(type, payload, ports))
    .join(',');
}

/** Exact payload sizes; other actions are nested or have any size. */
const payloadSizes: ReadonlyMap<number, number> = new Map([
  [A.output, 4],
  [A.pushVlan, 4],
  [A.popVlan, 0],
  [A.recirc, 4],
  [A.hash, 8],
  [A.pushMpls, 8],
  [A.popMpls, 2],
  [A.trunc, 4],
  [A.pushEth, 12],
  [A.popEth, 0],
  [A.ctClear, 0],
  [A.popNsh, 0],
  [A.meter, 4],
  [A.tunnelPop, 4],
  [A.drop, 4],
  [A.lbOutput, 4],
  [A.addMpls, 10],
]);

function port(number: number, ports: OdpPortNames | undefined): string {
  return ports?.byNumber(number) ?? String(number);
}

function formatAction(type: number, p: Uint8Array, ports: OdpPortNames | undefined): string {
  const size = payloadSizes.get(type);
  if (size !== undefined && p.length !== size) {
    return `bad length ${p.length}, expected ${size} for: action${type}`;
  }
  switch (type) {
    case A.output:
      return port(le32(p), ports);
    case A.trunc:
      return `trunc(${le32(p)})`;
    case A.tunnelPop:
      return `tnl_pop(${port(le32(p), ports)})`;
    case A.tunnelPush:
      return formatTnlPush(p, (n) => port(n, ports));
    case A.userspace:
      return formatUserspace(p, ports);
    case A.recirc:
      return `recirc(${hexNumber(le32(p))})`;
    case A.hash:
      return formatHash(le32(p), le32(p, 4));
    case A.set:
    case A.setMasked:
      return formatSet(p, type === A.setMasked);
    case A.pushEth:
      return `push_eth(src=${formatMac(p, 0)},dst=${formatMac(p, 6)})`;
    case A.popEth:
      return 'pop_eth';
    case A.pushVlan: {
      const tpid = be16(p, 0);
      const tci = be16(p, 2);
      const prefix = tpid === 0x8100 ? '' : `tpid=${hexPadded(tpid, 4)},`;
      return `push_vlan(${prefix}vid=${tci & 0xfff},pcp=${tci >>> 13}${(tci & 0x1000) === 0 ? ',cfi=0' : ''})`;
    }
    case A.popVlan:
      return 'pop_vlan';
    case A.pushMpls:
      return `push_mpls(${formatLse(be32(p, 0))},eth_type=0x${be16(p, 4).toString(16)})`;
    case A.popMpls:
      return `pop_mpls(eth_type=0x${be16(p, 0).toString(16)})`;
    case A.addMpls:
      return `add_mpls(${formatLse(be32(p, 0))},eth_type=0x${be16(p, 4).toString(16)})`;
    case A.sample: {
      const parts = attributeMap(p);
      const probability = le32(parts.get(OvsSampleAttr.probability) ?? new Uint8Array(4));
      const percent = ((100 * probability) / 0xffffffff).toFixed(1);
      return `sample(sample=${percent}%,actions(${nestedActions(parts.get(OvsSampleAttr.actions), ports)}))`;
    }
    case A.ct:
      return formatCt(p);
    case A.ctClear:
      return 'ct_clear';
    case A.clone:
      return `clone(${nestedActions(p, ports)})`;
    case A.checkPktLen: {
      const parts = attributeMap(p);
      const length = le16(parts.get(OvsCheckPktLenAttr.pktLen) ?? new Uint8Array(2));
      const gt = nestedActions(parts.get(OvsCheckPktLenAttr.actionsIfGreater), ports);
      const le = nestedActions(parts.get(OvsCheckPktLenAttr.actionsIfLessEqual), ports);
      return `check_pkt_len(size=${length},gt(${gt}),le(${le}))`;
    }
    case A.meter:
      return `meter(${le32(p)})`;
    case A.pushNsh:
      return `push_nsh(${formatPushNsh(p)})`;
    case A.popNsh:
      return 'pop_nsh()';
    case A.drop:
      return 'drop';
    case A.lbOutput:
      return `lb_output(${le32(p)})`;
    default:
      return `action${type}${p.length === 0 ? '' : `(${spacedHex(p)})`}`;
  }
}

function nestedActions(bytes: Uint8Array | undefined, ports: OdpPortNames | undefined): string {
  return formatOdpActions(bytes ?? new Uint8Array(0), ports);
}

function spacedHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
}

function formatLse(lse: number): string {
  return `label=${lse >>> 12},tc=${(lse >>> 9) & 7},ttl=${lse & 255},bos=${(lse >>> 8) & 1}`;
}

function formatHash(algorithm: number, basis: number): string {
  if (algorithm === OvsHashAlg.l4) return `hash(l4(${basis}))`;
  if (algorithm === OvsHashAlg.symL4) return `hash(sym_l4(${basis}))`;
  return `hash(Unknown hash algorithm(${algorithm}))`;
}

function formatSet(p: Uint8Array, masked: boolean): string {
  const inner = parseAttributes(p)[0];
  if (!inner) throw new WireError('BAD_ACTION', 'set without a key', 0);
  if (!masked || (inner.payload.length & 1) !== 0) {
    return `set(${formatOdpAttribute(inner.type, inner.payload, undefined)})`;
  }
  const half = inner.payload.length / 2;
  const value = inner.payload.subarray(0, half);
  const mask = inner.payload.subarray(half);
  // MPLS sets are always whole.
  const exact = inner.type === OvsKeyAttr.mpls && isOnes(mask, 0, half);
  return `set(${formatOdpAttribute(inner.type, value, exact ? undefined : mask)})`;
}

function formatUserspace(p: Uint8Array, ports: OdpPortNames | undefined): string {
  const parts = attributeMap(p);
  let s = `userspace(pid=${le32(parts.get(OvsUserspaceAttr.pid) ?? new Uint8Array(4))}`;
  const data = parts.get(OvsUserspaceAttr.userdata);
  if (data) s += `,${formatCookie(data)}`;
  if (parts.has(OvsUserspaceAttr.actions)) s += ',actions';
  const tunnel = parts.get(OvsUserspaceAttr.egressTunPort);
  if (tunnel) s += `,tunnel_out_port=${port(le32(tunnel), ports)}`;
  return `${s})`;
}

/** The cookie's meaning, or the bytes when they are not ours. */
function formatCookie(data: Uint8Array): string {
  let cookie;
  try {
    cookie = decodeUserCookie(data);
  } catch (error) {
    if (error instanceof WireError)
      return `userdata(${Array.from(data, (b) => b.toString(16).padStart(2, '0')).join('')})`;
    throw error;
  }
  switch (cookie.type) {
    case 'sflow': {
      const vid = cookie.vlanTci & 0xfff;
      return `sFlow(vid=${vid},pcp=${cookie.vlanTci >>> 13},output=${cookie.output})`;
    }
    case 'slow_path': {
      const names = slowPathExplanations.map(([bit, name]) => [bit, name] as const);
      return `slow_path(${formatFlags(names, cookie.reasons, ',') || '0'})`;
    }
    case 'flow_sample': {
      const direction = cookie.direction === 1 ? ',ingress' : cookie.direction === 2 ? ',egress' : '';
      return (
        `flow_sample(probability=${cookie.probability},collector_set_id=${cookie.collectorSetId},` +
        `obs_domain_id=${cookie.obsDomainId},obs_point_id=${cookie.obsPointId},` +
        `output_port=${cookie.outputPort}${direction})`
      );
    }
    case 'ipfix':
      return `ipfix(output_port=${cookie.outputPort})`;
    case 'controller':
      return (
        `controller(reason=${cookie.reason},dont_send=${cookie.dontSend ? 1 : 0},` +
        `continuation=${cookie.continuation ? 1 : 0},recirc_id=${cookie.recircId},` +
        `rule_cookie=${hexNumber(cookie.ruleCookie)},controller_id=${cookie.controllerId},max_len=${cookie.maxLen})`
      );
  }
}

function text(bytes: Uint8Array): string {
  let s = '';
  for (const b of bytes) {
    if (b === 0) break;
    s += String.fromCharCode(b);
  }
  return s;
}

function formatCt(p: Uint8Array): string {
  const parts = attributeMap(p);
  const out: string[] = [];
  if (parts.has(OvsCtAttr.commit)) out.push('commit');
  if (parts.has(OvsCtAttr.forceCommit)) out.push('force_commit');
  const zone = parts.get(OvsCtAttr.zone);
  if (zone && le16(zone) !== 0) out.push(`zone=${le16(zone)}`);
  const mark = parts.get(OvsCtAttr.mark);
  if (mark?.length === 8) out.push(`mark=${hexNumber(le32(mark))}/${hexNumber(le32(mark, 4))}`);
  const labels = parts.get(OvsCtAttr.labels);
  if (labels?.length === 32) out.push(`label=${formatLabel(labels)}`);
  const helper = parts.get(OvsCtAttr.helper);
  if (helper) out.push(`helper=${text(helper)}`);
  const timeout = parts.get(OvsCtAttr.timeout);
  if (timeout) out.push(`timeout=${text(timeout)}`);
  const nat = parts.get(OvsCtAttr.nat);
  if (nat) out.push(formatNat(nat));
  return out.length === 0 ? 'ct' : `ct(${out.join(',')})`;
}

function formatLabel(labels: Uint8Array): string {
  const value = hexBytes(labels.subarray(0, 16));
  return isOnes(labels, 16, 16) ? value : `${value}/${hexBytes(labels.subarray(16))}`;
}

function formatNat(p: Uint8Array): string {
  const parts = attributeMap(p);
  if (parts.size === 0) return 'nat';
  let s = parts.has(OvsNatAttr.src) ? 'src' : parts.has(OvsNatAttr.dst) ? 'dst' : '';
  const address = (b: Uint8Array): string => (b.length === 16 ? formatIpv6(b) : formatIpv4(b));
  const min = parts.get(OvsNatAttr.ipMin);
  const max = parts.get(OvsNatAttr.ipMax);
  const protoMin = le16(parts.get(OvsNatAttr.protoMin) ?? new Uint8Array(2));
  const protoMax = le16(parts.get(OvsNatAttr.protoMax) ?? new Uint8Array(2));
  if (min || protoMin !== 0) {
    s += '=';
    if (min) {
      const show = (b: Uint8Array): string =>
        protoMin !== 0 && b.length === 16 ? `[${address(b)}]` : address(b);
      s += show(min);
      if (max && address(max) !== address(min)) s += `-${show(max)}`;
    }
    if (protoMin !== 0) s += `:${protoMin}${protoMax !== 0 && protoMax !== protoMin ? `-${protoMax}` : ''}`;
  }
  if (parts.has(OvsNatAttr.persistent)) s += ',persistent';
  if (parts.has(OvsNatAttr.protoHash)) s += ',hash';
  if (parts.has(OvsNatAttr.protoRandom)) s += ',random';
  return `nat(${s.replace(/^,/, '')})`;
}

function formatPushNsh(p: Uint8Array): string {
  const parts = attributeMap(p);
  const base = parts.get(OvsNshKeyAttr.base) ?? new Uint8Array(8);
  const path = be32(base, 4);
  let s = `flags=${base[0] ?? 0},ttl=${base[1] ?? 0},mdtype=${base[2] ?? 0},np=${base[3] ?? 0},spi=${hexNumber(path >>> 8)},si=${path & 255}`;
  const md1 = parts.get(OvsNshKeyAttr.md1);
  if (md1?.length === 16) for (let i = 0; i < 4; i++) s += `,c${i + 1}=${hexNumber(be32(md1, 4 * i))}`;
  const md2 = parts.get(OvsNshKeyAttr.md2);
  if (md2) s += `,md2=${hexBytes(md2)}`;
  return s;
}
