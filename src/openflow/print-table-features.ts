/** Text of table features, as `dump-table-features` shows them. */
import type { TableFeatureDetails, TableFeatures } from './messages.ts';

const instructionNames = [
  [6, 'meter'], [4, 'apply_actions'], [5, 'clear_actions'], [3, 'write_actions'], [2, 'write_metadata'], [1, 'goto_table'],
] as const; // prettier-ignore
const actionNames = [
  [0, 'output'], [22, 'group'], [25, 'set_field'], [18, 'strip_vlan'], [17, 'push_vlan'], [23, 'mod_nw_ttl'],
  [24, 'dec_ttl'], [15, 'set_mpls_ttl'], [16, 'dec_mpls_ttl'], [19, 'push_mpls'], [20, 'pop_mpls'], [21, 'set_queue'],
] as const; // prettier-ignore

/** Names shortened: `eth_src eth_dst` is `eth_{src,dst}`, `reg0 ... reg15` is `reg0...reg15`. */
function shortNames(names: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < names.length;) {
    const name = names[i] ?? '';
    const cut = name.indexOf('_');
    const prefix = name.slice(0, cut + 1);
    let end = i + 1;
    if (cut > 0) while (names[end]?.startsWith(prefix)) end++;
    if (end - i > 1) {
      out.push(`${prefix}{${shortNames(names.slice(i, end).map((n) => n.slice(cut + 1))).join(',')}}`);
      i = end;
      continue;
    }
    const last = endOfRun(names, i);
    out.push(last > i ? `${name}...${names[last] ?? ''}` : name);
    i = last + 1;
  }
  return out;
}

/** Last of the names from `start` on that only count up the number at their end. */
function endOfRun(names: readonly string[], start: number): number {
  const numbered = /^(.*?)(\d+)$/.exec(names[start] ?? '');
  if (!numbered) return start;
  const [, stem = '', digits = '0'] = numbered;
  let last = start;
  while (names[last + 1] === `${stem}${Number(digits) + last + 1 - start}`) last++;
  return last;
}

function ranges(numbers: readonly number[]): string {
  const out: string[] = [];
  for (let i = 0; i < numbers.length;) {
    let last = i;
    while (numbers[last + 1] === (numbers[last] ?? 0) + 1) last++;
    out.push(last > i ? `${numbers[i] ?? 0}-${numbers[last] ?? 0}` : String(numbers[i]));
    i = last + 1;
  }
  return out.join(',');
}

const named = (numbers: readonly number[], names: readonly (readonly [number, string])[]): string =>
  names.filter(([n]) => numbers.includes(n)).map(([, name]) => name).join(' ') || 'none'; // prettier-ignore

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Actions of one kind of flow, with what differs between writing and applying told apart. */
function actionsText(d: TableFeatureDetails, miss: 0 | 1): string {
  const one = (actions: readonly number[] = [], setFields: readonly string[] = []): string =>
    `        actions: ${named(actions, actionNames)}\n        supported on Set-Field: ${shortNames(setFields).join(' ') || 'none'}\n`;
  const write = one(d.writeActions[miss], d.writeSetFields[miss]);
  const apply = one(d.applyActions[miss], d.applySetFields[miss]);
  if (write === apply) return `      Write-Actions and Apply-Actions features:\n${write}`;
  return `      Write-Actions features:\n${write}      Apply-Actions features:\n${apply}`;
}

function instructionsText(d: TableFeatureDetails, prev: TableFeatureDetails | undefined): string {
  const half = (miss: 0 | 1): string => {
    const next = ranges(d.nextTables[miss] ?? []);
    const actions = actionsText(d, miss);
    return (
      (next === '' ? '' : `      next tables: ${next}\n`) +
      `      instructions: ${named(d.instructions[miss] ?? [], instructionNames)}\n` +
      (prev && actionsText(prev, miss) === actions ? '      (same actions)\n' : actions)
    );
  };
  const [flows, miss] = [half(0), half(1)];
  if (flows === miss) return `    instructions (table miss and others):\n${flows}`;
  return `    instructions (other than table miss):\n${flows}    instructions (table miss):\n${miss}`;
}

function matchingText(d: TableFeatureDetails): string {
  const line = (what: string, names: readonly string[]): string =>
    names.length === 0 ? '' : `      ${what}: ${shortNames(names).join(' ')}\n`;
  return (
    line('arbitrary mask', d.maskable) +
    line('exact match or wildcard', d.exactOrWildcard) +
    line('must exact match', d.exactOnly)
  );
}

/** Equal but for the tables that come before, which no table can go to. */
function isDitto(t: TableFeatures, prev: TableFeatures): boolean {
  const later = (d: TableFeatureDetails | undefined): unknown => ({
    ...d,
    nextTables: d?.nextTables.map((list) => list.filter((n) => n > t.tableId)),
  });
  return (
    t.metadataMatch === prev.metadataMatch && t.metadataWrite === prev.metadataWrite &&
    t.maxEntries === prev.maxEntries && same(later(t.details), later(prev.details))
  ); // prettier-ignore
}

function tableText(t: TableFeatures, prev: TableFeatures | undefined, version: number): string {
  const hex = (n: bigint): string => `0x${n.toString(16)}`;
  let s = `  table ${t.tableId}${t.name === '' ? '' : ` ("${t.name}")`}:\n`;
  s += `    metadata: match=${hex(t.metadataMatch)} write=${hex(t.metadataWrite)}\n`;
  if (version >= 5) s += '    eviction: not supported\n    vacancy events: not supported\n';
  s += `    max_entries=${t.maxEntries}\n`;
  if (!t.details) return s;
  s += instructionsText(t.details, prev?.details);
  const matching = matchingText(t.details);
  const isSame = prev?.details !== undefined && matchingText(prev.details) === matching;
  return s + (isSame ? '    (same matching)\n' : `    matching:\n${matching}`);
}

export function formatTableFeatures(tables: readonly TableFeatures[], version: number): string {
  const parts: string[] = [];
  for (let i = 0; i < tables.length; i++) {
    const t = tables[i];
    const prev = tables[i - 1];
    if (!t) continue;
    if (!prev || !isDitto(t, prev)) {
      parts.push(tableText(t, prev, version));
      continue;
    }
    if (t.name !== '') {
      parts.push(`  table ${t.tableId} ("${t.name}"): ditto\n`);
      continue;
    }
    let end = i;
    for (;;) {
      const next = tables[end + 1];
      const last = tables[end];
      if (!next || !last || next.name !== '' || next.tableId !== last.tableId + 1 || !isDitto(next, last))
        break;
      end++;
    }
    parts.push(
      end === i
        ? `  table ${t.tableId}: ditto\n`
        : `  tables ${t.tableId}...${tables[end]?.tableId ?? 0}: ditto\n`,
    );
    i = end;
  }
  return parts
    .map((part, i) => (i + 1 < parts.length && !part.endsWith('"): ditto\n') ? `${part}\n` : part))
    .join('');
}
