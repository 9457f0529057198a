import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatHex } from '../../src/wire/address.ts';

/** Files of the corpus: one frame each, hex digits, `#` starts a comment. */
export const corpusDirectory = fileURLToPath(new URL('./corpus/', import.meta.url));

export function parseCorpusFile(text: string): Uint8Array {
  const digits = text.replace(/#.*$/gm, '').replace(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error('corpus: not hex digits');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

export function formatCorpusFile(frame: Uint8Array, comment: string): string {
  const lines = formatHex(frame).match(/.{1,64}/g) ?? [];
  return `# ${comment}\n${lines.join('\n')}\n`;
}

/** All frames by file name, in order of names. */
export function readCorpus(): ReadonlyMap<string, Uint8Array> {
  const names = readdirSync(corpusDirectory)
    .filter((name) => name.endsWith('.hex'))
    .sort();
  return new Map(names.map((name) => [name, parseCorpusFile(readFileSync(corpusDirectory + name, 'utf8'))]));
}
