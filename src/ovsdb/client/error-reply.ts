import { formatJson, isJsonObject } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';

/** The error of a reply, or of one result in it (RFC 7047 §4.1). */
export function errorFromJson(json: Json): OvsdbError {
  if (isJsonObject(json) && typeof json['error'] === 'string') {
    return new OvsdbError(json['error'], typeof json['details'] === 'string' ? json['details'] : undefined);
  }
  return new OvsdbError(typeof json === 'string' ? json : formatJson(json));
}

/** Whether a result of `transact` is an error. */
export function isErrorResult(json: Json | undefined): json is JsonObject {
  return isJsonObject(json) && typeof json['error'] === 'string';
}
