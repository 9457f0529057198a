/**
 * The error family. Discriminate by `code`, never by message or by `instanceof` across threads.
 */
export class OvsError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Bytes from a wire or a file that do not hold what they claim. */
export class WireError extends OvsError {
  /** Byte offset of the fault. */
  readonly offset: number;
  constructor(code: string, message: string, offset: number) {
    super(code, message);
    this.offset = offset;
  }
}

/** An OpenFlow error: `code` is the OFPxxx name, e.g. `OFPBRC_BAD_LEN`. */
export class OfpError extends OvsError {
  constructor(code: string, message: string = code) {
    super(code, message);
  }
}

/** A failed system call: `code` is the errno name, e.g. `ENODEV`. */
export class SystemError extends OvsError {
  readonly syscall: string;
  readonly errno: number;
  constructor(code: string, errno: number, syscall: string, message: string) {
    super(code, message);
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** What the user typed is wrong; the message is shown as it is. */
export class UsageError extends OvsError {
  constructor(message: string) {
    super('EINVAL', message);
  }
}

/** An option that the program does not have, or does not take that way. */
export class OptionError extends UsageError {}

/** Cannot happen: a broken invariant of our own. */
export class BugError extends OvsError {
  constructor(message: string) {
    super('BUG', message);
  }
}

/** The arena has no room for a request. */
export class ArenaFullError extends OvsError {
  constructor(sizeBytes: number) {
    super('ENOMEM', `arena is full: no room for ${sizeBytes} bytes (see memory/show)`);
  }
}
