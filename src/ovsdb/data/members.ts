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
  for (const key of Object.keys(json)) {
    if (!required.includes(key) && !optional.includes(key)) {
      throw syntaxError(json, `Parsing ${what} failed: Member '${key}' is present but not allowed here.`);
    }
  }
  return json;
}
