/** errno names, numbers and strerror(3) texts that sockets and files give. */
const texts: Readonly<Record<string, readonly [errno: number, text: string]>> = {
  EPERM: [1, 'Operation not permitted'],
  ENOENT: [2, 'No such file or directory'],
  ESRCH: [3, 'No such process'],
  EINTR: [4, 'Interrupted system call'],
  EIO: [5, 'Input/output error'],
  EBADF: [9, 'Bad file descriptor'],
  EAGAIN: [11, 'Resource temporarily unavailable'],
  ENOMEM: [12, 'Cannot allocate memory'],
  EACCES: [13, 'Permission denied'],
  EBUSY: [16, 'Device or resource busy'],
  EEXIST: [17, 'File exists'],
  ENODEV: [19, 'No such device'],
  ENOTDIR: [20, 'Not a directory'],
  EISDIR: [21, 'Is a directory'],
  EINVAL: [22, 'Invalid argument'],
  EMFILE: [24, 'Too many open files'],
  ENOSPC: [28, 'No space left on device'],
  EROFS: [30, 'Read-only file system'],
  EPIPE: [32, 'Broken pipe'],
  ENAMETOOLONG: [36, 'File name too long'],
  EPROTO: [71, 'Protocol error'],
  EAFNOSUPPORT: [97, 'Address family not supported by protocol'],
  EADDRINUSE: [98, 'Address already in use'],
  EADDRNOTAVAIL: [99, 'Cannot assign requested address'],
  ENETUNREACH: [101, 'Network is unreachable'],
  ECONNABORTED: [103, 'Software caused connection abort'],
  ECONNRESET: [104, 'Connection reset by peer'],
  ETIMEDOUT: [110, 'Connection timed out'],
  ECONNREFUSED: [111, 'Connection refused'],
  EHOSTUNREACH: [113, 'No route to host'],
};

/** strerror(3) for an errno name; the name itself where it is not listed. */
export function strerror(code: string): string {
  return texts[code]?.[1] ?? code;
}

/** The errno name, number and call of an error thrown by Node. */
export function errnoOf(error: unknown): { code: string; errno: number; syscall: string } {
  const e = error as { code?: unknown; errno?: unknown; syscall?: unknown } | null;
  const code = typeof e?.code === 'string' ? e.code : 'EIO';
  const errno = texts[code]?.[0] ?? (typeof e?.errno === 'number' ? Math.abs(e.errno) : 5);
  return { code, errno, syscall: typeof e?.syscall === 'string' ? e.syscall : '' };
}
