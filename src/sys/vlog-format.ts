import { hostname } from 'node:os';
import type { VlogRecord } from '../util/log.ts';

/** What a pattern needs besides the record. */
export interface VlogContext {
  readonly program: string;
  readonly wallMs: number;
  /** Milliseconds since the program started. */
  readonly uptimeMs: number;
  /** Counts the messages of the record's thread from 1. */
  readonly sequence: number;
  /** syslog facility number << 3, for %B. */
  readonly facility: number;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
/** syslog severities; as in OVS, `info` is LOG_NOTICE. */
const severities: Record<VlogRecord['level'], number> = { emer: 1, err: 3, warn: 4, info: 5, dbg: 7 };
const pad = (n: number, width = 2, fill = '0'): string => String(n).padStart(width, fill);

/** The part of strftime(3) that log patterns use, and OVS's `#` for digits below the second. */
export function strftimeMs(format: string, wallMs: number, utc: boolean): string {
  const zoneMs = utc ? 0 : new Date(wallMs).getTimezoneOffset() * -60_000;
  const t = new Date(wallMs + zoneMs);
  const field = (letter: string): string => {
    switch (letter) {
      case 'Y':
        return String(t.getUTCFullYear());
      case 'y':
        return pad(t.getUTCFullYear() % 100);
      case 'm':
        return pad(t.getUTCMonth() + 1);
      case 'd':
        return pad(t.getUTCDate());
      case 'e':
        return pad(t.getUTCDate(), 2, ' ');
      case 'H':
        return pad(t.getUTCHours());
      case 'M':
        return pad(t.getUTCMinutes());
      case 'S':
        return pad(t.getUTCSeconds());
      case 'T':
        return `${field('H')}:${field('M')}:${field('S')}`;
      case 'F':
        return `${field('Y')}-${field('m')}-${field('d')}`;
      case 'a':
        return days[t.getUTCDay()] ?? '';
      case 'b':
      case 'h':
        return months[t.getUTCMonth()] ?? '';
      case 's':
        return String(Math.floor(wallMs / 1000));
      case '%':
        return '%';
      default:
        return `%${letter}`;
    }
  };
  const text = format.replace(/%(.)/g, (_, letter: string) => field(letter));
  const digits = pad(Math.floor(wallMs % 1000), 3).padEnd(9, '0');
  let at = 0;
  return text.replace(/#/g, () => digits.charAt(at++) || '0');
}

/** Formats one record by a pattern of ovs-appctl(8) "vlog/set PATTERN". */
export function formatVlog(pattern: string, record: VlogRecord, context: VlogContext): string {
  return pattern.replace(
    /%(-?)(0?)(\d*)([^])(?:\{([^}]*)\})?/g,
    (
      _whole: string,
      left: string,
      zero: string,
      width: string,
      letter: string,
      braced: string | undefined,
    ) => {
      let value: string;
      let usesBraces = false;
      switch (letter) {
        case 'A':
          value = context.program;
          break;
        case 'B':
          value = String(context.facility + severities[record.level]);
          break;
        case 'c':
          value = record.module;
          usesBraces = true;
          break;
        case 'd':
        case 'D':
          value = strftimeMs(braced ?? '%Y-%m-%d %H:%M:%S.###', context.wallMs, letter === 'D');
          usesBraces = true;
          break;
        case 'E':
          value = hostname();
          break;
        case 'm':
          value = record.message;
          break;
        case 'N':
          value = String(context.sequence);
          break;
        case 'n':
          value = '\n';
          break;
        case 'p':
          value = record.level.toUpperCase();
          break;
        case 'P':
          value = String(process.pid);
          break;
        case 'r':
          value = String(Math.floor(context.uptimeMs));
          break;
        case 't':
          value = record.thread === '' ? 'main' : record.thread;
          break;
        case 'T':
          value = record.thread === '' ? '' : `(${record.thread})`;
          break;
        default:
          value = letter;
      }
      const columns = Number(width);
      const fill = zero === '' ? ' ' : '0';
      value = left === '' ? value.padStart(columns, fill) : value.padEnd(columns, fill);
      return !usesBraces && braced !== undefined ? `${value}{${braced}}` : value;
    },
  );
}
