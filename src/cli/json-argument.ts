/** JSON that a user typed. */
import { parseJson } from '../stream/json.ts';
import type { Json } from '../stream/json.ts';
import { jsonErrorText } from '../stream/json-error.ts';
import { UsageError } from '../util/errors.ts';

/** @throws UsageError in OVS's words if the text is not an object or an array */
export function parseJsonArgument(text: string): Json {
  const fault = jsonErrorText(text);
  if (fault !== null) throw new UsageError(`"${text}": ${fault}`);
  return parseJson(text);
}
