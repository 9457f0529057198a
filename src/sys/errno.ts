import { constants } from 'node:os';
import { SystemError } from '../util/errors.ts';
import { errno as lastErrno, libc } from './libc.ts';

const names = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  if (!names.has(value)) names.set(value, name);
}
names.set(11, 'EAGAIN');
names.set(95, 'EOPNOTSUPP');
for (const [value, name] of [
  [76, 'ENOTUNIQ'],
  [77, 'EBADFD'],
  [94, 'ESOCKTNOSUPPORT'],
  [96, 'EPFNOSUPPORT'],
  [117, 'EUCLEAN'],
  [123, 'ENOMEDIUM'],
  [126, 'ENOKEY'],
  [132, 'ERFKILL'],
] as const) {
  if (!names.has(value)) names.set(value, name);
}
const values = new Map([...names].map(([value, name]) => [name, value] as const));

/** `ENODEV` for 19; unknown numbers stay numbers (`E4711`). */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

/** 19 for `ENODEV`, 0 when unknown. */
export function errnoValue(name: string): number {
  return values.get(name) ?? 0;
}

/** The C library's text, as OVS prints errors ("No such device"); "End of file" for -1 is OVS's EOF. */
export function strerror(errno: number): string {
  if (errno === -1) return 'End of file';
  return errno === 0 ? '' : libc.strerror(errno);
}

/**
 * An error in OVS's form "<context> (<strerror>)".
 *
 * @param context What was tried, e.g. "could not open network device foo".
 */
export function systemError(errno: number, syscall: string, context?: string): SystemError {
  const text = strerror(errno);
  return new SystemError(
    errnoName(errno),
    errno,
    syscall,
    context === undefined ? text : `${context} (${text})`,
  );
}

/** Passes a C result through, or throws for a negative one. @throws SystemError */
export function check(result: number, syscall: string, context?: string): number {
  if (result < 0) throw systemError(lastErrno(), syscall, context);
  return result;
}

/** The errno text of anything that Node's own modules throw: "No such file or directory". */
export function errorText(error: unknown): string {
  if (error instanceof SystemError) return strerror(error.errno);
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    return strerror(Math.abs(error.errno));
  }
  return error instanceof Error ? error.message : String(error);
}
