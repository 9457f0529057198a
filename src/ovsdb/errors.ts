/**
 * Errors of OVSDB: `code` is the tag of RFC 7047 §5.2 or of OVS, e.g. `constraint violation`.
 */
import { OvsError } from '../util/errors.ts';
import { formatJson } from '../stream/json.ts';
import type { Json, JsonObject } from '../stream/json.ts';

export class OvsdbError extends OvsError {
  readonly details: string | undefined;
  /** The JSON text at fault. */
  readonly syntax: string | undefined;
  /** What the system says, e.g. `No space left on device`. */
  readonly ioError: string | undefined;
  constructor(code: string, details?: string, syntax?: Json, ioError?: string) {
    const text = syntax === undefined ? undefined : formatJson(syntax, true);
    super(
      code,
      `${text === undefined ? '' : `syntax "${text}": `}${code}${details === undefined ? '' : `: ${details}`}${ioError === undefined ? '' : ` (${ioError})`}`,
    );
    this.details = details;
    this.syntax = text;
    this.ioError = ioError;
  }
  /** The form in which it stands in a reply. */
  toJson(): JsonObject {
    return {
      ...(this.details === undefined ? {} : { details: this.details }),
      error: this.code,
      ...(this.ioError === undefined ? {} : { 'io-error': this.ioError }),
      ...(this.syntax === undefined ? {} : { syntax: this.syntax }),
    };
  }
}

export function syntaxError(json: Json, details: string): OvsdbError {
  return new OvsdbError('syntax error', details, json);
}
