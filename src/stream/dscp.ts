/**
 * The DSCP of TCP connections (`other_config:dscp`), in the upper six bits of IP_TOS or IPV6_TCLASS. It has to be there before
 * connect(2), so that the SYN carries it; Node makes sockets only in connecting, so this makes one itself.
 * A connection without DSCP loads no FFI.
 */
import { lookup } from 'node:dns/promises';
import { Socket, isIPv6 } from 'node:net';
import { check } from '../sys/errno.ts';
import { libc } from '../sys/libc.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IP_TOS = 1;
const IPPROTO_IPV6 = 41;
const IPV6_TCLASS = 67;

/** OVS's default for connections that a database configures: CS6, network control. */
const defaultDscp = 48;

/**
 * The DSCP that `other_config:dscp` of a Manager or Controller row asks for; numbers out of range mean the default.
 *
 * @param otherwise What a text that is no number means: to ovsdb-server 0, to ovs-vswitchd the default.
 */
export function dscpOf(text: string | undefined, otherwise = defaultDscp): number {
  if (text === undefined) return defaultDscp;
  const dscp = Number.parseInt(text, 10);
  if (Number.isNaN(dscp)) return otherwise;
  return dscp >= 0 && dscp <= 63 ? dscp : defaultDscp;
}

/** Sets it on a socket or on a listener, whose clients inherit it. @throws SystemError */
export function setDscp(fd: number, isIp6: boolean, dscp: number): void {
  const value = Int32Array.of(dscp << 2);
  const [level, name] = isIp6 ? [IPPROTO_IPV6, IPV6_TCLASS] : [IPPROTO_IP, IP_TOS];
  check(libc.setsockopt(fd, level, name, value, 4), 'setsockopt');
}

/**
 * Begins to connect a socket whose packets carry the DSCP.
 *
 * @returns The socket, to which nothing happens before the caller's next turn.
 * @throws SystemError, or Node's error of a lookup (as rejection)
 */
export async function connectWithDscp(host: string, port: number, dscp: number): Promise<Socket> {
  const { address, family } = await lookup(host);
  const isIp6 = family === 6;
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(isIp6 ? AF_INET6 : AF_INET, type, 0), 'socket');
  setDscp(fd, isIp6, dscp);
  // Reading must not begin before the connection is there, which `manualStart` of net.Socket says.
  const socket = new Socket({ fd, manualStart: true } as { fd: number });
  return socket.connect({ host: address, port });
}

/** Sets it on a listener of Node's. */
export function setListenerDscp(server: object, host: string, dscp: number): void {
  const { _handle: handle } = server as { readonly _handle?: { readonly fd: number } | null };
  if (handle !== undefined && handle !== null) setDscp(handle.fd, isIPv6(host), dscp);
}
