import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { libc } from './libc.ts';
import { errno } from './libc.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000 | 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** sockaddr_un, or sockaddr_in/in6 for `udp:IP:PORT`; null when the text is neither. */
function addressOfMethod(method: string): Uint8Array | null {
  if (method === 'libc') return unixAddress('/dev/log');
  if (method.startsWith('unix:')) return unixAddress(method.slice(5));
  const udp = /^(?:udp:)?(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(method);
  if (udp === null) return null;
  const ip = udp[1] ?? udp[2] ?? '';
  const port = Number(udp[3]);
  if (isIP(ip) === 4) {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port);
    bytes.set(ip.split('.').map(Number), 4);
    return bytes;
  }
  return null;
}

function unixAddress(path: string): Uint8Array {
  const bytes = new Uint8Array(110);
  bytes[0] = AF_UNIX;
  new TextEncoder().encodeInto(path, bytes.subarray(2, 109));
  return bytes;
}

/** Sends datagrams to a syslog daemon and never blocks; what cannot be sent is lost, as in syslog(3). */
export class SyslogSocket {
  readonly #address: Uint8Array | null;
  /** The socket's file, null for UDP. */
  readonly #path: string | null;
  #fd = -1;
  /** @param method `libc`, `null`, `unix:PATH` or `udp:IP:PORT` (`--syslog-method`). */
  constructor(method: string) {
    this.#path = method === 'libc' ? '/dev/log' : method.startsWith('unix:') ? method.slice(5) : null;
    this.#address = method === 'null' ? null : addressOfMethod(method);
  }
  send(text: string): void {
    const address = this.#address;
    // Many machines have no daemon: then the tools need not load koffi.
    if (address === null || (this.#path !== null && !existsSync(this.#path))) return;
    const family = address[0] ?? 0;
    if (this.#fd < 0) this.#fd = libc.socket(family === AF_INET6 ? AF_INET6 : family, SOCK_DGRAM_NONBLOCK, 0);
    if (this.#fd < 0) return;
    const bytes = new TextEncoder().encode(text);
    if (libc.sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length) >= 0)
      return;
    const EAGAIN = 11;
    if (errno() === EAGAIN) return;
    libc.close(this.#fd);
    this.#fd = -1;
  }
}
