import { OptionError } from '../util/errors.ts';

/** One option: `arg` as in getopt_long(3); `short` is a single letter. */
export interface OptionSpec {
  readonly name: string;
  readonly short?: string;
  readonly arg?: 'none' | 'required' | 'optional';
}

export interface ParsedOption {
  readonly name: string;
  /** null when absent. */
  readonly value: string | null;
}

/**
 * getopt_long(3): unique prefixes of long options, `--name=value`, grouped short options, `--`.
 *
 * @param argv Arguments after the program's name.
 * @param permute False stops at the first word that is no option ('+' of getopt).
 * @throws OptionError with glibc's wording, without the leading "PROG: ".
 */
export function getopt(
  argv: readonly string[],
  specs: readonly OptionSpec[],
  permute = true,
): { options: ParsedOption[]; rest: string[] } {
  const options: ParsedOption[] = [];
  const rest: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--') {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const typed = equals < 0 ? word.slice(2) : word.slice(2, equals);
      const spec = findLong(word, typed, specs);
      let value = equals < 0 ? null : word.slice(equals + 1);
      if (value !== null && (spec.arg ?? 'none') === 'none') {
        throw new OptionError(`option '--${spec.name}' doesn't allow an argument`);
      }
      if (value === null && spec.arg === 'required') {
        value = argv[++i] ?? null;
        if (value === null) throw new OptionError(`option '--${spec.name}' requires an argument`);
      }
      options.push({ name: spec.name, value });
    } else if (word.startsWith('-') && word !== '-') {
      for (let at = 1; at < word.length; at++) {
        const letter = word.charAt(at);
        const spec = specs.find((s) => s.short === letter);
        if (spec === undefined) throw new OptionError(`invalid option -- '${letter}'`);
        if ((spec.arg ?? 'none') === 'none') {
          options.push({ name: spec.name, value: null });
          continue;
        }
        let value: string | null = at + 1 < word.length ? word.slice(at + 1) : null;
        if (value === null && spec.arg === 'required') {
          value = argv[++i] ?? null;
          if (value === null) throw new OptionError(`option requires an argument -- '${letter}'`);
        }
        options.push({ name: spec.name, value });
        break;
      }
    } else if (permute) {
      rest.push(word);
    } else {
      rest.push(...argv.slice(i));
      break;
    }
  }
  return { options, rest };
}

/** @param word The whole argument, which errors show. */
function findLong(word: string, typed: string, specs: readonly OptionSpec[]): OptionSpec {
  const exact = specs.find((s) => s.name === typed);
  if (exact !== undefined) return exact;
  const matches = specs.filter((s) => typed !== '' && s.name.startsWith(typed));
  const [first] = matches;
  if (first === undefined) throw new OptionError(`unrecognized option '${word}'`);
  if (matches.length > 1) {
    const names = matches.map((s) => `'--${s.name}'`).join(' ');
    throw new OptionError(`option '${word}' is ambiguous; possibilities: ${names}`);
  }
  return first;
}
