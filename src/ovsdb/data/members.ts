/**
 * Checks of JSON objects with OVS's wording.
 *
 * OVS keeps the members of an object in a hash table: of several that are wrong it names the one that comes first
 * there. So whatever complains of members takes them in that order, `inHashOrder`; since it costs some
 * microseconds, the hot places do so only once something is wrong.
 */
import { isJsonObject } from '../../stream/json.ts';
import type { Json, JsonObject } from '../../stream/json.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { OvsdbError, syntaxError } from '../errors.ts';

/** Names in the order in which OVS walks a hash table of them. @param names In the order of their insertion. */
export function inHashOrder(names: Iterable<string>): string[] {
  return hmapOrder([...names], hashString);
}

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

/** A member of `json` that is of another kind than it must be. */
export function typeMismatch(json: Json, what: string, name: string): OvsdbError {
  return syntaxError(json, `Parsing ${what} failed: Type mismatch for member '${name}'.`);
}

/** @throws OvsdbError `syntax error` if `json` has members that are not known */
export function rejectOthers(json: JsonObject, what: string, isKnown: (key: string) => boolean): void {
  if (Object.keys(json).every(isKnown)) return;
  const [first = '', ...others] = inHashOrder(Object.keys(json)).filter((key) => !isKnown(key));
  const count = others.length;
  const rest = count === 0 ? 'is' : `and ${count} other ${count === 1 ? 'member' : 'members'} are`;
  throw syntaxError(json, `Parsing ${what} failed: Member '${first}' ${rest} present but not allowed here.`);
}
