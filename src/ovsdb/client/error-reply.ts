import { formatJson, isJsonArray, isJsonObject, parseJson } from '../../stream/index.ts';
import type { Json, JsonObject } from '../../stream/index.ts';
import { OvsdbError } from '../errors.ts';

/** The error of a reply, or of one result in it (RFC 7047 §4.1). */
export function errorFromJson(json: Json): OvsdbError {
  if (isJsonObject(json) && typeof json['error'] === 'string') {
    const { error, details, syntax } = json;
    return new OvsdbError(error, typeof details === 'string' ? details : undefined, parseSyntax(syntax));
  }
  return new OvsdbError(typeof json === 'string' ? json : formatJson(json));
}

/** The JSON at fault, which stands in the error as text. */
function parseSyntax(text: Json | undefined): Json | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const wrapped = parseJson(`[${text}]`);
    return isJsonArray(wrapped) ? wrapped[0] : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a result of `transact` is an error. */
export function isErrorResult(json: Json | undefined): json is JsonObject {
  return isJsonObject(json) && typeof json['error'] === 'string';
}
