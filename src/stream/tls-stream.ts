/**
 * TLS over TCP, active and passive (`ssl:`, `pssl:`). `node:tls` is loaded when it is needed, without `import()`,
 * which the bundles of the programs do not have. Streams are handed out after the handshake; one
 * that fails is logged in the words of OVS's stream_ssl and ends as EPROTO.
 */
import { createServer as createTcpServer, isIP } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SystemError } from '../util/errors.ts';
import { rateLimit, vlog } from '../util/log.ts';
import { strerror } from './errno.ts';
import type { TlsIdentity } from './tls-identity.ts';

const log = vlog('stream_ssl');
const handshakeErrors = rateLimit(10, 25);
/** A client that does not say hello within this time is dropped. */
const handshakeMs = 60_000;

export interface TlsTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsIdentity;
}

/**
 * Begins to connect; `onSecure` gets the socket once its handshake is done and the peer is trusted, until then
 * errors and the end are told by the events of the socket returned.
 *
 * @param plain A connection that has been begun; without it one is made.
 * @throws SystemError ENOPROTOOPT if the identity is not usable
 */
export function openTls(
  { host, port, tls }: TlsTarget,
  name: string,
  plain: Socket | undefined,
  onSecure: (socket: TLSSocket) => void,
): TLSSocket {
  const context = tls.context(false);
  const { connect } = process.getBuiltinModule('node:tls');
  let socket: TLSSocket;
  try {
    socket = connect({
      ...(plain === undefined ? { host, port } : { socket: plain }),
      ...context.options,
      ...serverNameOf(tls.serverName ?? host),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
  } catch (error) {
    throw badContext(error);
  }
  const fail = (): void => {
    socket.destroy(protocolError(name));
  };
  socket.once('secureConnect', () => {
    if (context.bootstraps) {
      tls.bootstrap(socket.getPeerCertificate(true));
      fail();
    } else if (context.verifies && !socket.authorized) {
      log.warn('SSL_connect: error:0A000086:SSL routines::certificate verify failed', handshakeErrors);
      fail();
    } else onSecure(socket);
  });
  socket.once('error', (error) => {
    const text = openSslText(error);
    if (text !== null) log.warn(`SSL_connect: ${text}`, handshakeErrors);
  });
  return socket;
}

/** What the client says in SNI; an address is nothing to say (RFC 6066 §3). */
function serverNameOf(name: string): { servername?: string } {
  return isIP(name) === 0 && name !== '' ? { servername: name } : {};
}

/**
 * A server that hands over sockets whose handshake is done and whose peer is trusted.
 *
 * @throws SystemError ENOPROTOOPT if the identity is not usable
 */
export function createTlsServer(tls: TlsIdentity, onSocket: (socket: TLSSocket) => void): Server {
  tls.context(true);
  const { TLSSocket, createSecureContext } = process.getBuiltinModule('node:tls');
  let made: { serial: number; secure: ReturnType<typeof createSecureContext> } | undefined;
  return createTcpServer({ noDelay: true }, (tcp) => {
    let context;
    try {
      context = tls.context(true);
      if (made?.serial !== context.serial)
        made = { serial: context.serial, secure: createSecureContext(context.options) };
    } catch (error) {
      if (!(error instanceof SystemError)) badContext(error);
      tcp.destroy();
      return;
    }
    const { verifies } = context;
    const socket = new TLSSocket(tcp, {
      isServer: true,
      secureContext: made.secure,
      requestCert: verifies,
      rejectUnauthorized: verifies,
    });
    awaitHandshake(tcp, socket, verifies, onSocket);
  });
}

function awaitHandshake(
  tcp: Socket,
  socket: TLSSocket,
  verifies: boolean,
  onSocket: (socket: TLSSocket) => void,
): void {
  const onError = (error: Error): void => {
    const text = openSslText(error);
    if (text !== null) log.warn(`SSL_accept: ${text}`, handshakeErrors);
    tcp.destroy();
  };
  socket.setTimeout(handshakeMs, () => tcp.destroy());
  socket.once('error', onError);
  socket.once('secure', () => {
    const verifyError = verifies ? verifyErrorOf(socket) : null;
    if (verifyError !== null) {
      log.warn('SSL_accept: error:0A000086:SSL routines::certificate verify failed', handshakeErrors);
      tcp.destroy();
      return;
    }
    socket.setTimeout(0);
    socket.off('error', onError);
    onSocket(socket);
  });
}

/** What `tls.Server` asks its sockets, too: the result of the verification. */
function verifyErrorOf(socket: TLSSocket): Error | null {
  const { ssl } = socket as TLSSocket & { readonly ssl?: { verifyError(): Error | null } };
  return ssl === undefined ? new Error('closed') : ssl.verifyError();
}

/** Common name of the peer's certificate; null if it presented none. Ask only of a peer that was verified. */
export function peerNameOf(socket: TLSSocket): string | null {
  const certificate = socket.getPeerCertificate() as { subject?: { CN?: string | string[] } } | null;
  const name = certificate?.subject?.CN;
  return typeof name === 'string' ? name : (name?.[0] ?? null);
}

function badContext(error: unknown): SystemError {
  log.err(openSslText(error) ?? (error instanceof Error ? error.message : String(error)), handshakeErrors);
  return new SystemError('ENOPROTOOPT', 92, 'ssl', strerror('ENOPROTOOPT'));
}

function protocolError(name: string): SystemError {
  return new SystemError('EPROTO', 71, 'ssl', `${name}: ${strerror('EPROTO')}`);
}

/** An error of OpenSSL in its own notation, `error:0A0000C7:SSL routines::peer did not ...`; null for others. */
function openSslText(error: unknown): string | null {
  const { message, library, reason } = error as { message?: string; library?: string; reason?: string };
  if (reason === undefined) return null;
  const number = /error:([0-9A-F]{8})/.exec(message ?? '')?.[1] ?? '0A000000';
  return `error:${number}:${library ?? 'SSL routines'}::${reason}`;
}
