import { parseIpv4, parseIpv6 } from '../wire/address.ts';
import { UsageError } from '../util/errors.ts';
import type { OdpActionWriter } from './action-writer.ts';
import { OvsCtAttr, OvsNatAttr } from './attrs.ts';

/**
 * Writes OVS_CT_ATTR_NAT from the text inside `nat(..)`: `src=10.0.0.1-10.0.0.9:80-90,random`; undefined
 * for `nat` alone.
 *
 * @throws UsageError
 */
export function parseCtNat(body: string | undefined, w: OdpActionWriter): void {
  const nest = w.beginNested(OvsCtAttr.nat);
  for (const item of (body ?? '').split(',')) {
    const word = item.trim();
    if (word === '') continue;
    if (word === 'persistent') w.flag(OvsNatAttr.persistent);
    else if (word === 'hash') w.flag(OvsNatAttr.protoHash);
    else if (word === 'random') w.flag(OvsNatAttr.protoRandom);
    else parseRange(word, w);
  }
  w.endNested(nest);
}

function fail(text: string): never {
  throw new UsageError(`${text}: bad nat range`);
}

function parseRange(text: string, w: OdpActionWriter): void {
  const m = /^(src|dst)(?:=(.+))?$/.exec(text);
  if (!m) fail(text);
  w.flag(m[1] === 'src' ? OvsNatAttr.src : OvsNatAttr.dst);
  if (m[2] === undefined) return;
  const v6 = /^\[([0-9a-fA-F:.]+)\](?:-\[([0-9a-fA-F:.]+)\])?(?::(\d+)(?:-(\d+))?)?$/.exec(m[2]);
  const v4 = /^([\d.]+)?(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?$/.exec(m[2]);
  const bare6 = /^([0-9a-fA-F:.]+)(?:-([0-9a-fA-F:.]+))?$/.exec(m[2]);
  const [, min, max, protoMin, protoMax] = v6 ?? v4 ?? bare6 ?? fail(text);
  const isV6 = v6 !== null || v4 === null;
  const read = (t: string): Uint8Array => (isV6 ? parseIpv6(t) : parseIpv4(t)) ?? fail(text);
  if (min !== undefined) w.raw(OvsNatAttr.ipMin, read(min));
  if (max !== undefined) w.raw(OvsNatAttr.ipMax, read(max));
  const port = (t: string): number => (Number(t) < 0x10000 ? Number(t) : fail(text));
  if (protoMin !== undefined) w.u16(OvsNatAttr.protoMin, port(protoMin));
  if (protoMax !== undefined) w.u16(OvsNatAttr.protoMax, port(protoMax));
}
