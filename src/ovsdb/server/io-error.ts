import { errorText } from '../../sys/errno.ts';
import { OvsdbError } from '../errors.ts';

/** A failed call to the system. */
export function ioError(details: string, error: unknown): OvsdbError {
  return new OvsdbError('I/O error', details, undefined, errorText(error));
}
