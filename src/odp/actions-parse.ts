import { parseMac } from '../wire/address.ts';
import { parseUnsigned } from '../flow/field-text.ts';
import { splitKeyValues } from '../flow/key-values.ts';
import { putBe16, putBe32 } from '../flow/numbers-text.ts';
import { UsageError } from '../util/errors.ts';
import { OdpActionWriter } from './action-writer.ts';
import { putLe32 } from './attributes.ts';
import { OvsActionAttr as A, OvsCtAttr, OvsKeyAttr, OvsSampleAttr, slowPathExplanations } from './attrs.ts';
import { parseCtNat } from './nat-parse.ts';
import type { OdpPortNames } from './key-format.ts';
import { parseOneAttribute } from './key-parse.ts';
import type { UserCookie } from './user-cookie.ts';
import { encodeUserCookie } from './user-cookie.ts';

/**
 * Reads datapath actions in the form in which dpctl prints them; `drop` and the empty text are none.
 *
 * @throws UsageError
 */
export function parseOdpActions(text: string, ports?: OdpPortNames): Uint8Array {
  const writer = new OdpActionWriter(new Uint8Array(65536));
  parseInto(text, writer, ports);
  if (writer.overflowed) throw new UsageError(`${text}: actions are too long`);
  return writer.bytes().slice();
}

/** Splits at commas outside parentheses. */
function splitList(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '(' || c === '[') depth++;
    else if ((c === ')' || c === ']') && depth > 0) depth--;
    else if (c === undefined || (depth === 0 && (c === ',' || c === ' '))) {
      const item = text.slice(from, i).trim();
      if (item !== '') out.push(item);
      from = i + 1;
    }
  }
  return out;
}

function bad(text: string): never {
  throw new UsageError(`${text}: bad datapath action`);
}

function number(text: string | undefined, bits: number): number {
  const v = parseUnsigned(text ?? '');
  if (v === undefined || v >> BigInt(bits) !== 0n) bad(text ?? '');
  return Number(v);
}

function parseInto(text: string, w: OdpActionWriter, ports: OdpPortNames | undefined): void {
  if (text === 'drop') return;
  for (const item of splitList(text)) parseAction(item, w, ports);
}

function parseAction(item: string, w: OdpActionWriter, ports: OdpPortNames | undefined): void {
  const call = /^(\w+)\((.*)\)$/s.exec(item);
  if (!call) {
    parseWord(item, w, ports);
    return;
  }
  const name = call[1] ?? '';
  const body = call[2] ?? '';
  const parser = calls[name];
  if (!parser) bad(item);
  parser(body, w, ports);
}

function parseWord(item: string, w: OdpActionWriter, ports: OdpPortNames | undefined): void {
  switch (item) {
    case 'pop_vlan':
      w.popVlan();
      return;
    case 'pop_eth':
      w.popEth();
      return;
    case 'ct_clear':
      w.ctClear();
      return;
    case 'ct':
      w.endNested(w.beginCt(false, false, 0));
      return;
    case 'drop':
      return;
    default: {
      const v = parseUnsigned(item);
      const port = v === undefined ? ports?.byName(item) : v <= 0xffffffffn ? Number(v) : undefined;
      if (port === undefined) bad(item);
      w.output(port);
    }
  }
}

type Parser = (body: string, w: OdpActionWriter, ports: OdpPortNames | undefined) => void;

function pairs(body: string): Map<string, string> {
  return new Map(splitKeyValues(body).map(({ key, value }) => [key, value]));
}

/** The parts `name(..)` of a body that is a list of those. */
function callsOf(body: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const part of splitList(body)) {
    const m = /^(\w+)(?:\((.*)\)|=(.*))$/s.exec(part);
    if (!m) bad(part);
    out.set(m[1] ?? '', m[2] ?? m[3] ?? '');
  }
  return out;
}

function lse(p: ReadonlyMap<string, string>): number {
  const label = number(p.get('label'), 20);
  const tc = number(p.get('tc'), 3);
  const ttl = number(p.get('ttl'), 8);
  const bos = number(p.get('bos'), 1);
  return ((label << 12) | (tc << 9) | (bos << 8) | ttl) >>> 0;
}

const calls: Readonly<Record<string, Parser>> = {
  trunc: (body, w) => {
    w.trunc(number(body, 32));
  },
  recirc: (body, w) => {
    w.recirc(number(body, 32));
  },
  meter: (body, w) => {
    w.meter(number(body, 32));
  },
  lb_output: (body, w) => {
    w.lbOutput(number(body, 32));
  },
  tnl_pop: (body, w, ports) => {
    w.tunnelPop(ports?.byName(body) ?? number(body, 32));
  },
  pop_nsh: (_body, w) => {
    w.popNsh();
  },
  hash: (body, w) => {
    const m = /^(l4|sym_l4)\((\d+)\)$/.exec(body);
    if (!m) bad(`hash(${body})`);
    w.hash(m[1] === 'l4' ? 0 : 1, number(m[2], 32));
  },
  push_vlan: (body, w) => {
    const p = pairs(body);
    const tpid = p.has('tpid') ? number(p.get('tpid'), 16) : 0x8100;
    const tci = number(p.get('vid'), 12) | (number(p.get('pcp') ?? '0', 3) << 13);
    const at = w.attribute(A.pushVlan, 4);
    if (at < 0) return;
    putBe16(w.memory, at, tpid);
    putBe16(w.memory, at + 2, tci | (p.get('cfi') === '0' ? 0 : 0x1000));
  },
  push_mpls: (body, w) => {
    const p = pairs(body);
    w.pushMpls(lse(p), number(p.get('eth_type'), 16));
  },
  pop_mpls: (body, w) => {
    w.popMpls(number(pairs(body).get('eth_type'), 16));
  },
  add_mpls: (body, w) => {
    const p = pairs(body);
    const at = w.attribute(A.addMpls, 10);
    if (at < 0) return;
    putBe32(w.memory, at, lse(p));
    putBe16(w.memory, at + 4, number(p.get('eth_type'), 16));
  },
  push_eth: (body, w) => {
    const p = pairs(body);
    const src = parseMac(p.get('src') ?? '');
    const dst = parseMac(p.get('dst') ?? '');
    if (!src || !dst) bad(`push_eth(${body})`);
    w.pushEth(dst, src);
  },
  set: (body, w, ports) => {
    const { type, value, mask } = parseOneAttribute(body, ports);
    if (type === OvsKeyAttr.tunnel || mask.every((b) => b === 0xff)) {
      w.set(type, value);
      return;
    }
    if (value.length !== mask.length) bad(`set(${body})`);
    w.setMasked(type, value, mask);
  },
  push_nsh: (body, w) => {
    const { type, value } = parseOneAttribute(`nsh(${body})`);
    if (type === OvsKeyAttr.nsh) w.raw(A.pushNsh, value);
  },
  userspace: parseUserspace,
  sample: (body, w, ports) => {
    const m = /^sample=([\d.]+)%,actions\((.*)\)$/s.exec(body);
    const percent = Number(m?.[1]);
    if (!m || !(percent >= 0 && percent <= 100)) bad(`sample(${body})`);
    const outer = w.beginNested(A.sample);
    w.u32(OvsSampleAttr.probability, Math.floor((0xffffffff * percent) / 100 + 0.5));
    const inner = w.beginNested(OvsSampleAttr.actions);
    parseInto(m[2] ?? '', w, ports);
    w.endNested(inner);
    w.endNested(outer);
  },
  clone: (body, w, ports) => {
    const nest = w.beginClone();
    parseInto(body, w, ports);
    w.endNested(nest);
  },
  check_pkt_len: (body, w, ports) => {
    const p = callsOf(body);
    const branch = (name: string): Uint8Array => {
      const text = p.get(name);
      if (text === undefined) bad(`check_pkt_len(${body})`);
      return parseOdpActions(text, ports);
    };
    w.checkPktLen(number(p.get('size'), 16), branch('gt'), branch('le'));
  },
  ct: parseCt,
};

function parseUserspace(body: string, w: OdpActionWriter, ports: OdpPortNames | undefined): void {
  let pid = 0;
  let data: Uint8Array | undefined;
  let tunnelPort = -1;
  let actions = false;
  for (const part of splitList(body)) {
    const m = /^(\w+)(?:\((.*)\)|=(.*))?$/s.exec(part);
    const name = m?.[1] ?? '';
    const text = m?.[2] ?? m?.[3] ?? '';
    if (name === 'pid') pid = number(text, 32);
    else if (name === 'actions') actions = true;
    else if (name === 'tunnel_out_port') tunnelPort = ports?.byName(text) ?? number(text, 32);
    else if (name === 'userdata') data = parseHexBytes(text) ?? bad(part);
    else data = encodeUserCookie(parseCookie(name, text));
  }
  w.userspace(pid, data, tunnelPort, actions);
}

function parseHexBytes(text: string): Uint8Array | undefined {
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (h) => parseInt(h, 16));
}

function parseCookie(name: string, text: string): UserCookie {
  const p = name === 'slow_path' ? new Map<string, string>() : pairs(text);
  const n = (key: string, bits: number): number => number(p.get(key), bits);
  const base = { ofpInPort: 0 };
  switch (name) {
    case 'slow_path': {
      let reasons = 0;
      for (const reason of splitList(text)) {
        const known = slowPathExplanations.find(([, word]) => word === reason);
        reasons |= known ? known[0] : number(reason, 32);
      }
      return { ...base, type: 'slow_path', reasons: reasons >>> 0 };
    }
    case 'sFlow': {
      const tci = n('vid', 12) | (n('pcp', 3) << 13);
      return { ...base, type: 'sflow', vlanTci: tci === 0 ? 0 : tci | 0x1000, output: n('output', 32) };
    }
    case 'flow_sample':
      return {
        ...base,
        type: 'flow_sample',
        probability: n('probability', 16),
        collectorSetId: n('collector_set_id', 32),
        obsDomainId: n('obs_domain_id', 32),
        obsPointId: n('obs_point_id', 32),
        outputPort: n('output_port', 32),
        direction: p.has('ingress') ? 1 : p.has('egress') ? 2 : 0,
      };
    case 'ipfix':
      return { ...base, type: 'ipfix', outputPort: n('output_port', 32) };
    case 'controller': {
      const cookie = parseUnsigned(p.get('rule_cookie') ?? '');
      if (cookie === undefined || cookie >> 64n !== 0n) bad(text);
      return {
        ...base,
        type: 'controller',
        dontSend: n('dont_send', 1) === 1,
        continuation: n('continuation', 1) === 1,
        reason: n('reason', 16),
        recircId: n('recirc_id', 32),
        ruleCookie: cookie,
        controllerId: n('controller_id', 16),
        maxLen: n('max_len', 16),
      };
    }
    default:
      return bad(name);
  }
}

function wide(text: string): Uint8Array {
  const v = parseUnsigned(text);
  if (v === undefined || v >> 128n !== 0n) bad(text);
  const out = new Uint8Array(16);
  for (let i = 15, rest = v; i >= 0; i--, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

function parseCt(body: string, w: OdpActionWriter): void {
  const items = splitList(body).map((part) => {
    const m = /^(\w+)(?:\((.*)\)|=(.*))?$/s.exec(part);
    if (!m) bad(part);
    return [m[1] ?? '', m[2] ?? m[3]] as const;
  });
  const p = new Map(items);
  const commit = p.has('commit');
  const force = p.has('force_commit');
  const nest = w.beginCt(commit || force, force, p.has('zone') ? number(p.get('zone'), 16) : 0);
  const mark = p.get('mark');
  if (mark !== undefined) {
    const [v, m] = mark.split('/');
    const at = w.attribute(OvsCtAttr.mark, 8);
    if (at >= 0) {
      putLe32(w.memory, at, number(v, 32));
      putLe32(w.memory, at + 4, m === undefined ? 0xffffffff : number(m, 32));
    }
  }
  const label = p.get('label');
  if (label !== undefined) {
    const [v, m] = label.split('/');
    const bytes = new Uint8Array(32);
    bytes.set(wide(v ?? ''), 0);
    bytes.set(m === undefined ? new Uint8Array(16).fill(0xff) : wide(m), 16);
    w.raw(OvsCtAttr.labels, bytes);
  }
  for (const [name, attr] of [
    ['helper', OvsCtAttr.helper],
    ['timeout', OvsCtAttr.timeout],
  ] as const) {
    // prettier-ignore
    const text = p.get(name);
    if (text !== undefined) w.raw(attr, cString(text));
  }
  if (p.has('nat')) parseCtNat(p.get('nat'), w);
  w.endNested(nest);
}

function cString(text: string): Uint8Array {
  return Uint8Array.from([...Array.from(text, (c) => c.charCodeAt(0) & 0x7f), 0]);
}
