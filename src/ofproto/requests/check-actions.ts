import type { Action } from '../../openflow/actions.ts';
import { OfpError } from '../../util/errors.ts';

/**
 * Checks actions against what exists in this switch; that they are well formed and fit their match was
 * checked by the codec. There are no groups and meters yet, so naming one is an error.
 *
 * @throws OfpError
 */
export function checkActionsAgainstSwitch(actions: readonly Action[]): void {
  for (const action of actions) {
    switch (action.kind) {
      case 'group':
        throw new OfpError('OFPBAC_BAD_OUT_GROUP');
      case 'meter':
        throw new OfpError('OFPMMFC_INVALID_METER');
      case 'write_actions':
      case 'clone':
      case 'ct':
        checkActionsAgainstSwitch(action.actions);
        break;
      default:
        break;
    }
  }
}
