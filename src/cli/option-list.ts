import type { OptionSpec } from '../sys/getopt.ts';

/** What `--option` prints for bash completion. */
export function optionList(specs: readonly OptionSpec[]): string {
  return specs
    .map(({ name, short, arg }) => {
      const value = arg === undefined ? '' : arg === 'optional' ? '[ARG]' : 'ARG';
      const long = `--${name}${value === '' ? '' : '='}${value}\n`;
      return short === undefined ? long : `${long}-${short} ${value}\n`;
    })
    .join('');
}
