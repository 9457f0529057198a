/** errno names of errors thrown by Node, and their strerror(3) texts. */
import { errnoValue, strerror as strerrorOfNumber } from '../sys/errno.ts';

/** strerror(3) for an errno name; the name itself where it is not known. */
export function strerror(code: string): string {
  const errno = errnoValue(code);
  return errno === 0 ? code : strerrorOfNumber(errno);
}

/** The errno name, number and call of an error thrown by Node. */
export function errnoOf(error: unknown): { code: string; errno: number; syscall: string } {
  const e = error as { code?: unknown; errno?: unknown; syscall?: unknown } | null;
  const code = typeof e?.code === 'string' ? e.code : 'EIO';
  return { code, errno: errnoValue(code), syscall: typeof e?.syscall === 'string' ? e.syscall : '' };
}
