/**
 * Connection methods as OVS writes them: `tcp:HOST[:PORT]`, `ptcp:[PORT][:HOST]`, the same with `ssl:` and
 * `pssl:`, `unix:FILE`, `punix:FILE`; IPv6 addresses in `[ ]`. See ovsdb(7) and ovs-vsctl(8).
 */
import { SystemError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import { processTls } from './tls-identity.ts';
import type { TlsIdentity } from './tls-identity.ts';

const log = vlog('stream');

export type StreamTarget =
  | { readonly kind: 'unix'; readonly path: string; readonly isPassive: boolean }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly isPassive: boolean;
      readonly dscp?: number;
    }
  | {
      readonly kind: 'ssl';
      readonly host: string;
      readonly port: number;
      readonly isPassive: boolean;
      readonly dscp?: number;
      readonly tls: TlsIdentity;
    };

export const OVSDB_PORT = 6640;
export const OPENFLOW_PORT = 6653;

const EAFNOSUPPORT = 97;

function unsupported(name: string): SystemError {
  return new SystemError(
    'EAFNOSUPPORT',
    EAFNOSUPPORT,
    'stream',
    `${name}: Address family not supported by protocol`,
  );
}

/**
 * Parses a connection method.
 *
 * @param runDir Where a relative `unix:`/`punix:` path is looked up.
 * @param defaultPort Port if the text names none.
 * @param tls Whose keys `ssl:` and `pssl:` use.
 * @throws SystemError EAFNOSUPPORT for another or a malformed method.
 */
export function parseTarget(
  text: string,
  defaultPort: number,
  runDir: string,
  tls: TlsIdentity = processTls,
): StreamTarget {
  const colon = text.indexOf(':');
  const scheme = text.slice(0, Math.max(0, colon));
  const rest = text.slice(colon + 1);
  switch (scheme) {
    case 'unix':
    case 'punix':
      if (rest === '') throw unsupported(text);
      return {
        kind: 'unix',
        path: rest.startsWith('/') ? rest : `${runDir}/${rest}`,
        isPassive: scheme === 'punix',
      };
    case 'tcp':
    case 'ssl': {
      const [host, portText] = splitHost(rest);
      if (host === '') throw unsupported(text);
      const port = parsePort(portText, defaultPort, text);
      return scheme === 'tcp'
        ? { kind: 'tcp', host, port, isPassive: false }
        : { kind: 'ssl', host, port, isPassive: false, tls };
    }
    case 'ptcp':
    case 'pssl': {
      const separator = rest.indexOf(':');
      const [host] = splitHost(separator < 0 ? '' : rest.slice(separator + 1));
      const port = parsePort(separator < 0 ? rest : rest.slice(0, separator), defaultPort, text);
      return scheme === 'ptcp'
        ? { kind: 'tcp', host, port, isPassive: true }
        : { kind: 'ssl', host, port, isPassive: true, tls };
    }
    default:
      throw unsupported(text);
  }
}

/** The same target with packets that carry a DSCP (0-63), which only IP can. */
export function withDscp(target: StreamTarget, dscp: number): StreamTarget {
  return target.kind === 'unix' || dscp === 0 ? target : { ...target, dscp };
}

/** Whether `text` begins with a passive method's scheme. */
export function isPassiveTarget(text: string): boolean {
  return /^(punix:.|ptcp:|pssl:)/.test(text);
}

function splitHost(text: string): [host: string, port: string] {
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return ['', ''];
    const after = text.slice(close + 1);
    return [text.slice(1, close), after.startsWith(':') ? after.slice(1) : ''];
  }
  const colon = text.indexOf(':');
  return colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** Other programs may still expect the port of old. */
let $hasWarned = false;

function parsePort(text: string, defaultPort: number, whole: string): number {
  if (text === '') {
    if (defaultPort === OVSDB_PORT && !$hasWarned) {
      $hasWarned = true;
      log.warn('The default OVSDB port number has changed from 6632 to 6640');
    }
    return defaultPort;
  }
  const port = /^\d+$/.test(text) ? Number(text) : -1;
  if (port < 0 || port > 65535) throw unsupported(whole);
  return port;
}

/** `HOST:PORT` with brackets where the address has colons. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
