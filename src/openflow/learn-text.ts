/**
 * The `learn` action as text.
 *
 * `learn(table=1,idle_timeout=10,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],
 * output:NXM_OF_IN_PORT[])`: settings, then what the learned flow matches, loads and outputs.
 */
import { formatFieldText, parseFieldText } from '../flow/field-text.ts';
import { fieldByHeaderName, fieldByName } from '../flow/fields.ts';
import type { Subfield } from '../flow/fields.ts';
import { splitKeyValues } from '../flow/key-values.ts';
import { Match } from '../flow/match.ts';
import { setMatchField } from '../flow/match-set.ts';
import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import { writeSubfield } from '../flow/subfield.ts';
import { formatSubfield, parseSubfieldPrefix, parseSubfieldText } from '../flow/subfield-text.ts';
import { UsageError } from '../util/errors.ts';
import type { LearnAction, LearnSpec } from './actions.ts';
import { bigintToBytes, bytesToBigint } from './bits.ts';
import { parseU16, parseU32, parseU64 } from './numbers.ts';
import { parseTableId } from './tables-text.ts';

const DEFAULT_PRIORITY = 32768;

/** Bits of an immediate as the field's value: right-aligned in `field.bytes`. */
function immediateValue(spec: LearnSpec, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  if (spec.source.type === 'immediate') out.set(spec.source.value, bytes - spec.source.value.length);
  return out;
}

function formatHexValue(value: Uint8Array): string {
  const n = bytesToBigint(value);
  return `0x${n.toString(16)}`;
}

function formatSpec(spec: LearnSpec, ports: PortMap): string {
  const { source } = spec;
  switch (spec.dstType) {
    case 'match': {
      const isWhole = spec.dst.ofs === 0 && spec.dst.nBits === spec.dst.field.bits;
      if (source.type === 'immediate') {
        if (isWhole) {
          const value = immediateValue(spec, spec.dst.field.bytes);
          return `${spec.dst.field.name}=${formatFieldText(spec.dst.field, value, undefined, ports)}`;
        }
        return `${formatSubfield(spec.dst)}=${formatHexValue(source.value)}`;
      }
      const isSame = source.src.field === spec.dst.field && source.src.ofs === spec.dst.ofs;
      return isSame ? formatSubfield(spec.dst) : `${formatSubfield(spec.dst)}=${formatSubfield(source.src)}`;
    }
    case 'load':
      if (source.type === 'immediate')
        return `load:${formatHexValue(source.value)}->${formatSubfield(spec.dst)}`;
      return `load:${formatSubfield(source.src)}->${formatSubfield(spec.dst)}`;
    case 'output':
      return source.type === 'field' ? `output:${formatSubfield(source.src)}` : 'output:?';
  }
}

export function formatLearn(a: LearnAction, ports: PortMap = noPorts): string {
  const parts = [`table=${a.tableId}`];
  if (a.idleTimeoutSec !== 0) parts.push(`idle_timeout=${a.idleTimeoutSec}`);
  if (a.hardTimeoutSec !== 0) parts.push(`hard_timeout=${a.hardTimeoutSec}`);
  if (a.finIdleTimeoutSec !== 0) parts.push(`fin_idle_timeout=${a.finIdleTimeoutSec}`);
  if (a.finHardTimeoutSec !== 0) parts.push(`fin_hard_timeout=${a.finHardTimeoutSec}`);
  if (a.priority !== DEFAULT_PRIORITY) parts.push(`priority=${a.priority}`);
  if (a.sendFlowRem) parts.push('send_flow_rem');
  if (a.deleteLearned) parts.push('delete_learned');
  if (a.cookie !== 0n) parts.push(`cookie=0x${a.cookie.toString(16)}`);
  if (a.limit !== 0) parts.push(`limit=${a.limit}`);
  if (a.resultDst) parts.push(`result_dst=${formatSubfield(a.resultDst)}`);
  for (const spec of a.specs) parts.push(formatSpec(spec, ports));
  return `learn(${parts.join(',')})`;
}

/** Value of the low bits of a parsed field, as short as they need. */
function shortImmediate(value: Uint8Array, nBits: number): Uint8Array {
  return bigintToBytes(bytesToBigint(value), Math.ceil(nBits / 8));
}

/** `load:VALUE->DST` or `load:SRC->DST` inside learn. */
function parseLoad(value: string): LearnSpec {
  const arrow = value.indexOf('->');
  if (arrow < 0) throw new UsageError(`load: missing \`->' in \`${value}'`);
  const left = value.slice(0, arrow);
  const dst = parseSubfieldText(value.slice(arrow + 2));
  const number = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(left) ? BigInt(left) : undefined;
  if (number !== undefined) {
    if (number >> BigInt(dst.nBits) !== 0n) {
      throw new UsageError(`${value}: value does not fit into ${dst.nBits} bits`);
    }
    const immediate = bigintToBytes(number, Math.ceil(dst.nBits / 8));
    return { dstType: 'load', nBits: dst.nBits, source: { type: 'immediate', value: immediate }, dst };
  }
  const src = parseSubfieldText(left);
  if (src.nBits !== dst.nBits) {
    throw new UsageError(
      `${value}: source field is ${src.nBits} bits wide but destination is ${dst.nBits} bits wide`,
    );
  }
  return { dstType: 'load', nBits: dst.nBits, source: { type: 'field', src }, dst };
}

/** `FIELD=VALUE`, `SUBFIELD=VALUE`, `SUBFIELD=SUBFIELD` or `SUBFIELD` alone. */
function parseMatchSpec(name: string, value: string, learned: Match, ports: PortMap): LearnSpec {
  const whole = value === '' ? undefined : (fieldByName(name) ?? fieldByHeaderName(name)?.field);
  if (whole) {
    let parsed;
    try {
      parsed = parseFieldText(whole, value, ports);
    } catch (e) {
      if (!(e instanceof UsageError) || !isSubfieldText(value)) throw e;
    }
    if (parsed) {
      if (!parsed.mask.every((b) => b === 0xff)) throw new UsageError(`${name}: must be exact match`);
      setMatchField(learned, whole, parsed.value);
      const dst = { field: whole, ofs: 0, nBits: whole.bits };
      const immediate = shortImmediate(parsed.value, whole.bits);
      return { dstType: 'match', nBits: whole.bits, source: { type: 'immediate', value: immediate }, dst };
    }
  }
  const known = /^[A-Za-z0-9_.-]+/.exec(name)?.[0] ?? '';
  if (!fieldByName(known) && !fieldByHeaderName(known)) {
    throw new UsageError(`${name}${value === '' ? '' : `=${value}`}: unknown keyword ${name}`);
  }
  const { subfield: dst, rest } = parseSubfieldPrefix(name);
  if (rest !== '') throw new UsageError(`${name}: unknown keyword ${name}`);
  if (value === '') return { dstType: 'match', nBits: dst.nBits, source: { type: 'field', src: dst }, dst };
  const number = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(value) ? BigInt(value) : undefined;
  if (number !== undefined) {
    if (number >> BigInt(dst.nBits) !== 0n) {
      throw new UsageError(`${name}=${value}: value ${value} does not fit into ${dst.nBits} bits`);
    }
    const immediate = bigintToBytes(number, Math.ceil(dst.nBits / 8));
    writeSubfield(learned.flow, 0, dst, immediate);
    return { dstType: 'match', nBits: dst.nBits, source: { type: 'immediate', value: immediate }, dst };
  }
  const src = parseSubfieldText(value);
  if (src.nBits !== dst.nBits) {
    throw new UsageError(
      `${name}=${value}: bit widths of ${name} (${src.nBits}) and ${value} (${dst.nBits}) differ`,
    );
  }
  return { dstType: 'match', nBits: dst.nBits, source: { type: 'field', src }, dst };
}

function isSubfieldText(text: string): boolean {
  return /^[A-Za-z_]/.test(text);
}

/**
 * Reads the argument of `learn`.
 *
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseLearn(arg: string, ports: PortMap = noPorts): LearnAction {
  let tableId = 1;
  let priority = DEFAULT_PRIORITY;
  let idleTimeoutSec = 0;
  let hardTimeoutSec = 0;
  let finIdleTimeoutSec = 0;
  let finHardTimeoutSec = 0;
  let cookie = 0n;
  let sendFlowRem = false;
  let deleteLearned = false;
  let limit = 0;
  let resultDst: Subfield | undefined;
  const specs: LearnSpec[] = [];
  const learned = new Match();
  for (const { key, value } of splitKeyValues(arg)) {
    if (key === 'table') {
      tableId = parseTableId(value) ?? failed(`unknown table "${value}"`);
      if (tableId === 255) failed(`${arg}: table id 255 not valid for \`learn' action`);
    } else if (key === 'priority') priority = parseU16(value, 'priority');
    else if (key === 'idle_timeout') idleTimeoutSec = parseU16(value, 'idle_timeout');
    else if (key === 'hard_timeout') hardTimeoutSec = parseU16(value, 'hard_timeout');
    else if (key === 'fin_idle_timeout') finIdleTimeoutSec = parseU16(value, 'fin_idle_timeout');
    else if (key === 'fin_hard_timeout') finHardTimeoutSec = parseU16(value, 'fin_hard_timeout');
    else if (key === 'cookie') cookie = parseU64(value);
    else if (key === 'send_flow_rem') sendFlowRem = true;
    else if (key === 'delete_learned') deleteLearned = true;
    else if (key === 'limit') limit = parseU32(value);
    else if (key === 'result_dst') {
      resultDst = parseSubfieldText(value);
      if (!resultDst.field.writable) failed(`${resultDst.field.name} is read-only`);
      if (resultDst.nBits !== 1) failed("result_dst in 'learn' action must be a single bit");
    } else if (key === 'load') specs.push(parseLoad(value));
    else if (key === 'output') specs.push(parseOutput(value));
    else {
      specs.push(parseMatchSpec(key, value, learned, ports));
    }
  }
  return {
    kind: 'learn', idleTimeoutSec, hardTimeoutSec, priority, cookie, sendFlowRem, deleteLearned, tableId,
    finIdleTimeoutSec, finHardTimeoutSec, limit, ...(resultDst && { resultDst }), specs,
  }; // prettier-ignore
}

function failed(message: string): never {
  throw new UsageError(message);
}

function parseOutput(value: string): LearnSpec {
  const { subfield: src, rest } = parseSubfieldPrefix(value);
  if (rest !== '') throw new UsageError(`${value}: trailing garbage after subfield`);
  return { dstType: 'output', nBits: src.nBits, source: { type: 'field', src } };
}
