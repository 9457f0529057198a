/** Checks of JSON objects with OVS's wording. */
import { isJsonObject } from '../../stream/json.ts';
import type { Json, JsonObject } from '../../stream/json.ts';
import { OvsdbError, syntaxError } from '../errors.ts';

/**
 * Checks that `json` is an object with all of `required` and nothing but those and `optional`.
 *
 * @param what Name of the thing in the error, e.g. `table update`.
 * @throws OvsdbError `syntax error`
 */
export function expectMembers(
  json: Json,
  what: string,
  required: readonly string[],
  optional: readonly string[],
): JsonObject {
  // OVS shows no syntax when it cannot name a member.
  if (!isJsonObject(json)) throw new OvsdbError('syntax error', `Parsing ${what} failed: Object expected.`);
  for (const key of required) {
    if (json[key] === undefined)
      throw syntaxError(json, `Parsing ${what} failed: Required '${key}' member is missing.`);
  }
  rejectOthers(json, what, (key) => required.includes(key) || optional.includes(key));
  return json;
}

/** @throws OvsdbError `syntax error` if `json` has members that are not known */
export function rejectOthers(json: JsonObject, what: string, isKnown: (key: string) => boolean): void {
  const [first, ...others] = Object.keys(json).filter((key) => !isKnown(key));
  if (first === undefined) return;
  const count = others.length;
  const rest = count === 0 ? 'is' : `and ${count} other ${count === 1 ? 'member' : 'members'} are`;
  throw syntaxError(json, `Parsing ${what} failed: Member '${first}' ${rest} present but not allowed here.`);
}
