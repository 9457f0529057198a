/** One `key`, `key=value`, `key:value` or `key(value)` of a flow or action text. */
export interface KeyValue {
  readonly key: string;
  /** Empty when the key stands alone. */
  readonly value: string;
  /** What joined them: '', '=', ':' or '('. */
  readonly delimiter: string;
}

const separators = ', \t\r\n';

/**
 * Splits text into keys and values as ovs-ofctl does: items are divided by commas and blanks; a value
 * in parentheses runs to the matching one; parentheses and brackets nest inside other values.
 */
export function splitKeyValues(text: string): KeyValue[] {
  const out: KeyValue[] = [];
  let i = 0;
  while (i < text.length) {
    while (i < text.length && separators.includes(text[i] ?? '')) i++;
    if (i >= text.length) break;
    const start = i;
    while (i < text.length && !`:=(${separators}`.includes(text[i] ?? '')) i++;
    const key = text.slice(start, i);
    const delimiter = text[i] ?? '';
    if (delimiter === '' || separators.includes(delimiter)) {
      out.push({ key, value: '', delimiter: '' });
      continue;
    }
    i++;
    const from = i;
    let depth = delimiter === '(' ? 1 : 0;
    if (delimiter === '(') {
      while (i < text.length && depth > 0) {
        if (text[i] === '(') depth++;
        else if (text[i] === ')') depth--;
        i++;
      }
      // An unclosed one takes all that is left.
      out.push({ key, value: text.slice(from, depth === 0 ? i - 1 : i), delimiter });
      continue;
    }
    while (i < text.length && (depth > 0 || !separators.includes(text[i] ?? ''))) {
      const c = text[i] ?? '';
      if (c === '(' || c === '[') depth++;
      else if ((c === ')' || c === ']') && depth > 0) depth--;
      i++;
    }
    out.push({ key, value: text.slice(from, i), delimiter });
  }
  return out;
}
