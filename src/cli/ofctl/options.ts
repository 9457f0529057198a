/** Options of ovs-ofctl. */
import { getopt } from '../../sys/getopt.ts';
import type { OptionSpec } from '../../sys/getopt.ts';
import { applyTlsOption, tlsSpecs } from '../../stream/tls-options.ts';
import { applyVlogOption } from '../../sys/vlog-options.ts';
import { P_ANY, formatProtocols, parseProtocol, protocolsOfVersions } from '../../openflow/protocols.ts';
import { UsageError } from '../../util/errors.ts';

export interface SortCriterion {
  readonly field: string;
  readonly descending: boolean;
}

export interface OfctlOptions {
  /** Bit n: version n may be used. */
  readonly versions: number;
  /** Protocols that may be used. */
  readonly protocols: number;
  readonly strict: boolean;
  readonly verbosity: number;
  /** null: as the default is (numbers out of scripts' sight, names accepted). */
  readonly useNames: boolean | null;
  readonly showStats: boolean;
  readonly sort: readonly SortCriterion[];
  readonly timestamp: boolean;
  readonly timeoutSec: number;
  readonly packetInFormat: 'standard' | 'nxt_packet_in' | 'nxt_packet_in2' | null;
  readonly bundle: boolean;
  /** The command line, when it asks to run in the background or for a pid file. */
  readonly daemonArgv: readonly string[] | null;
  /** Where `ovs-appctl` reaches a monitor; null: the usual place. */
  readonly unixctl: string | null;
  readonly readd: boolean;
  readonly special: 'help' | 'version' | null;
}

/** Of commands that can run in the background. */
export const daemonSpecs: readonly OptionSpec[] = [
  { name: 'detach' },
  { name: 'monitor' },
  { name: 'no-chdir' },
  { name: 'pidfile', arg: 'optional' },
  { name: 'overwrite-pidfile' },
  { name: 'user', arg: 'required' },
  { name: 'no-self-confinement' },
];

export const ofctlSpecs: readonly OptionSpec[] = [
  { name: 'timeout', short: 't', arg: 'required' },
  { name: 'strict' },
  { name: 'read-only' },
  { name: 'readd' },
  { name: 'flow-format', short: 'F', arg: 'required' },
  { name: 'packet-in-format', short: 'P', arg: 'required' },
  { name: 'more', short: 'm' },
  { name: 'timestamp' },
  { name: 'sort', arg: 'optional' },
  { name: 'rsort', arg: 'optional' },
  { name: 'names' },
  { name: 'no-names' },
  { name: 'stats' },
  { name: 'no-stats' },
  { name: 'unixctl', arg: 'required' },
  { name: 'help', short: 'h' },
  { name: 'option', short: 'o' },
  { name: 'bundle' },
  { name: 'color', arg: 'optional' },
  { name: 'may-create' },
  { name: 'version', short: 'V' },
  { name: 'protocols', short: 'O', arg: 'required' },
  { name: 'verbose', short: 'v', arg: 'optional' },
  { name: 'log-file', arg: 'optional' },
  { name: 'syslog-target', arg: 'required' },
  { name: 'syslog-method', arg: 'required' },
  ...tlsSpecs,
];

const versionNames: Readonly<Record<string, number>> = {
  openflow10: 1, openflow11: 2, openflow12: 3, openflow13: 4, openflow14: 5, openflow15: 6,
  '1.0': 1, '1.1': 2, '1.2': 3, '1.3': 4, '1.4': 5, '1.5': 6,
}; // prettier-ignore

/** `OpenFlow10,OpenFlow13` as a bitmap. @throws UsageError */
function parseVersions(text: string): number {
  let bits = 0;
  for (const word of text.split(/[ ,]+/)) {
    if (word === '') continue;
    const lower = word.toLowerCase();
    const version = Object.hasOwn(versionNames, lower) ? versionNames[lower] : undefined;
    if (version === undefined) throw new UsageError(`Unknown OpenFlow version: "${word}"`);
    bits |= 1 << version;
  }
  return bits;
}

/** Names of the versions of a bitmap. */
function formatVersions(bits: number): string {
  const out: string[] = [];
  for (let v = 1; v <= 6; v++) if ((bits & (1 << v)) !== 0) out.push(`OpenFlow1${v - 1}`);
  return out.join(', ');
}

function parseProtocols(text: string): number {
  let bits = 0;
  for (const word of text.split(/[ ,]+/)) {
    if (word === '') continue;
    const found = word.toLowerCase() === 'any' ? P_ANY : parseProtocol(word);
    if (found === undefined) throw new UsageError(`${word}: unknown flow protocol`);
    bits |= found;
  }
  if (bits === 0) throw new UsageError(`${text}: no flow protocol specified`);
  return bits;
}

const packetInFormats = ['standard', 'openflow10', 'nxt_packet_in', 'nxt_packet_in2', 'nxm'] as const;

function parsePacketInFormat(text: string): NonNullable<OfctlOptions['packetInFormat']> {
  const lower = text.toLowerCase();
  const found = packetInFormats.find((f) => f === lower);
  if (!found) throw new UsageError(`unknown packet-in format \`${text}'`);
  return found === 'openflow10' ? 'standard' : found === 'nxm' ? 'nxt_packet_in' : found;
}

/** @throws UsageError */
export function parseOptions(argv: readonly string[]): {
  readonly options: OfctlOptions;
  readonly args: readonly string[];
} {
  const { options, rest } = getopt(argv, [...ofctlSpecs, ...daemonSpecs]);
  // Requests mean slightly different things in later versions, so those are used on demand only.
  let versions = 1 << 1;
  let protocols = P_ANY;
  let strict = false;
  let verbosity = 0;
  let useNames: boolean | null = null;
  let showStats = true;
  let timestamp = false;
  let timeoutSec = 0;
  let packetInFormat: OfctlOptions['packetInFormat'] = null;
  let bundle = false;
  let unixctl: string | null = null;
  const isDaemon = options.some(({ name }) => daemonSpecs.some((d) => d.name === name));
  let readd = false;
  let special: OfctlOptions['special'] = null;
  const sort: SortCriterion[] = [];
  for (const option of options) {
    if (applyVlogOption(option) || applyTlsOption(option)) continue;
    const { name, value } = option;
    switch (name) {
      case 'timeout':
        timeoutSec = Number(value);
        if (!(timeoutSec >= 1)) throw new UsageError(`value ${value ?? ''} on -t or --timeout is invalid`);
        break;
      case 'strict':
        strict = true;
        break;
      case 'readd':
        readd = true;
        break;
      case 'flow-format':
        protocols = parseProtocols(value ?? '');
        break;
      case 'packet-in-format':
        packetInFormat = parsePacketInFormat(value ?? '');
        break;
      case 'more':
        verbosity++;
        break;
      case 'timestamp':
        timestamp = true;
        break;
      case 'sort':
      case 'rsort':
        sort.push({ field: value ?? 'priority', descending: name === 'rsort' });
        break;
      case 'names':
        useNames = true;
        break;
      case 'no-names':
        useNames = false;
        break;
      case 'stats':
        showStats = true;
        break;
      case 'no-stats':
        showStats = false;
        break;
      case 'bundle':
        bundle = true;
        break;
      case 'unixctl':
        unixctl = value;
        break;
      case 'protocols':
        versions = parseVersions(value ?? '');
        break;
      case 'help':
        special = 'help';
        break;
      case 'version':
        special = 'version';
        break;
      default:
    }
  }
  if (bundle) {
    // Of the versions that have bundles, 1.4 unless told otherwise.
    versions &= ~((1 << 1) | (1 << 2) | (1 << 3));
    if (versions === 0) versions = 1 << 5;
  }
  const allowed = protocols & protocolsOfVersions(versions);
  if (allowed === 0 && special === null) {
    throw new UsageError(
      `None of the enabled OpenFlow versions (${formatVersions(versions)}) supports any of the enabled flow ` +
        `formats (${formatProtocols(protocols)}).  (Use -O to enable additional OpenFlow versions or -F to ` +
        'enable additional flow formats.)',
    );
  }
  return {
    options: {
      versions, protocols: allowed, strict, verbosity, useNames, showStats, sort, timestamp, timeoutSec,
      packetInFormat, bundle, readd, special, unixctl, daemonArgv: isDaemon ? argv : null,
    },
    args: rest,
  }; // prettier-ignore
}
