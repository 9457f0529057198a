/**
 * Which messages use tunnel options (tun_metadata0..63): a switch without a table of them refuses those.
 */
import type { Field } from '../flow/fields.ts';
import { KeyLayout as K } from '../flow/generated/key.ts';
import type { Match } from '../flow/match.ts';
import { OfpError } from '../util/errors.ts';
import type { Action } from './actions.ts';

function isOption(field: Field | undefined): boolean {
  return field?.name.startsWith('tun_metadata') ?? false;
}

function usesOptions(a: Action): boolean {
  switch (a.kind) {
    case 'set_field':
    case 'delete_field':
      return isOption(a.field);
    case 'reg_move':
      return isOption(a.src.field) || isOption(a.dst.field);
    case 'stack_push':
    case 'stack_pop':
      return isOption(a.subfield.field);
    case 'output_reg':
      return isOption(a.src.field);
    case 'multipath':
    case 'check_pkt_larger':
      return isOption(a.dst.field);
    case 'bundle':
      return isOption(a.dst?.field);
    case 'learn':
      return a.specs.some(
        (s) =>
          (s.source.type === 'field' && isOption(s.source.src.field)) ||
          (s.dstType !== 'output' && isOption(s.dst.field)),
      );
    case 'ct':
    case 'clone':
    case 'write_actions':
      return a.actions.some(usesOptions);
    default:
      return false;
  }
}

/** @throws OfpError NXFMFC_INVALID_TLV_FIELD */
export function refuseTunnelOptions(match: Match, actions: readonly Action[]): void {
  const { mask } = match;
  const isMatched =
    mask.subarray(K.tunMetadata, K.tunMetadata + 256).some((b) => b !== 0) ||
    mask.subarray(K.tunMetadataPresent, K.tunMetadataPresent + 8).some((b) => b !== 0);
  if (isMatched || actions.some(usesOptions)) throw new OfpError('NXFMFC_INVALID_TLV_FIELD');
}
