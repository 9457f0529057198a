import { UsageError } from '../util/errors.ts';
import { fieldByHeaderName, fieldByName } from './fields.ts';
import type { Subfield } from './fields.ts';

/**
 * Reads a subfield at the start of text: `NXM_OF_VLAN_TCI[0..11]`, `reg0[5]`, `reg0[]`, or a field's
 * name alone.
 *
 * @returns The subfield and what follows it.
 * @throws UsageError with ovs-ofctl's text.
 */
export function parseSubfieldPrefix(text: string): { subfield: Subfield; rest: string } {
  const m = /^[A-Za-z0-9_.-]+/.exec(text);
  const name = m?.[0] ?? '';
  const field = fieldByName(name) ?? fieldByHeaderName(name)?.field;
  if (!field) throw new UsageError(`${text}: unknown field \`${name}'`);
  let rest = text.slice(name.length);
  if (!rest.startsWith('[')) return { subfield: { field, ofs: 0, nBits: field.bits }, rest };
  const range = /^\[(?:(\d+)(?:\.\.(\d+))?)?\]/.exec(rest);
  if (!range) throw new UsageError(`${text}: syntax error expecting [] or [<bit>] or [<start>..<end>]`);
  rest = rest.slice(range[0].length);
  if (range[1] === undefined) return { subfield: { field, ofs: 0, nBits: field.bits }, rest };
  const start = Number(range[1]);
  const end = range[2] === undefined ? start : Number(range[2]);
  if (start > end) throw new UsageError(`${text}: starting bit ${start} is after ending bit ${end}`);
  if (start >= field.bits) {
    throw new UsageError(
      `${text}: starting bit ${start} is not valid because field is only ${field.bits} bits wide`,
    );
  }
  if (end >= field.bits) {
    throw new UsageError(
      `${text}: ending bit ${end} is not valid because field is only ${field.bits} bits wide`,
    );
  }
  return { subfield: { field, ofs: start, nBits: end - start + 1 }, rest };
}

/** Reads text that is a subfield and nothing else. @throws UsageError */
export function parseSubfieldText(text: string): Subfield {
  const { subfield, rest } = parseSubfieldPrefix(text);
  if (rest !== '') throw new UsageError(`${text}: trailing garbage after subfield`);
  return subfield;
}

/** As in action text: NXM name (or the field's own) and bits, e.g. `NXM_OF_VLAN_TCI[0..11]`. */
export function formatSubfield(sf: Subfield): string {
  const f = sf.field;
  const name = f.headers[0]?.name ?? f.name;
  if (sf.ofs === 0 && sf.nBits === f.bits) return `${name}[]`;
  if (sf.nBits === 1) return `${name}[${sf.ofs}]`;
  return `${name}[${sf.ofs}..${sf.ofs + sf.nBits - 1}]`;
}
