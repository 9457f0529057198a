/** The options of TLS that every tool with a connection takes. */
import type { OptionSpec } from '../sys/getopt.ts';

export const tlsOptions: readonly OptionSpec[] = [
  { name: 'private-key', short: 'p', arg: 'required' },
  { name: 'certificate', short: 'c', arg: 'required' },
  { name: 'ca-cert', short: 'C', arg: 'required' },
  { name: 'ssl-protocols', arg: 'required' },
  { name: 'ssl-ciphers', arg: 'required' },
  { name: 'bootstrap-ca-cert', arg: 'required' },
];

export function isTlsOption(name: string): boolean {
  return tlsOptions.some((option) => option.name === name);
}
