/** The TLS options that every program with connection methods has, and their part of its --help. */
import type { OptionSpec, ParsedOption } from '../sys/getopt.ts';
import { processTls } from './tls-identity.ts';
import type { TlsIdentity } from './tls-identity.ts';

export const tlsSpecs: readonly OptionSpec[] = [
  { name: 'private-key', short: 'p', arg: 'required' },
  { name: 'certificate', short: 'c', arg: 'required' },
  { name: 'ca-cert', short: 'C', arg: 'required' },
  { name: 'bootstrap-ca-cert', arg: 'required' },
  { name: 'peer-ca-cert', arg: 'required' },
  { name: 'ssl-protocols', arg: 'required' },
  { name: 'ssl-ciphers', arg: 'required' },
  { name: 'ssl-ciphersuites', arg: 'required' },
  { name: 'ssl-server-name', arg: 'required' },
];

/** Takes an option of `tlsSpecs` over into an identity. @returns false if it is another option */
export function applyTlsOption({ name, value }: ParsedOption, tls: TlsIdentity = processTls): boolean {
  switch (name) {
    case 'private-key':
      tls.configure({ privateKey: value });
      return true;
    case 'certificate':
      tls.configure({ certificate: value });
      return true;
    case 'ca-cert':
    case 'bootstrap-ca-cert':
      tls.configure({ caCert: value, isBootstrap: name === 'bootstrap-ca-cert' });
      return true;
    case 'peer-ca-cert':
      tls.configure({ peerCaCert: value });
      return true;
    case 'ssl-protocols':
      tls.setProtocols(value ?? '');
      return true;
    case 'ssl-ciphers':
      tls.setCiphers(value ?? '');
      return true;
    case 'ssl-ciphersuites':
      tls.setCiphersuites(value ?? '');
      return true;
    case 'ssl-server-name':
      tls.serverName = value;
      return true;
    default:
      return false;
  }
}

export interface StreamUsage {
  readonly active?: boolean;
  readonly passive?: boolean;
  readonly bootstrap?: boolean;
}

/**
 * The part of a --help text about connection methods and keys.
 *
 * @param protocol "OpenFlow", "JSON-RPC", ...
 */
export function streamUsage(
  protocol: string,
  { active = false, passive = false, bootstrap = false }: StreamUsage,
): string {
  return (
    '\n' +
    (active
      ? `Active ${protocol} connection methods:\n` +
        `  tcp:HOST:PORT           PORT at remote HOST\n` +
        `  ssl:HOST:PORT           SSL PORT at remote HOST\n` +
        `  unix:FILE               Unix domain socket named FILE\n`
      : '') +
    (passive
      ? `Passive ${protocol} connection methods:\n` +
        `  ptcp:PORT[:IP]          listen to TCP PORT on IP\n` +
        `  pssl:PORT[:IP]          listen for SSL on PORT on IP\n` +
        `  punix:FILE              listen on Unix domain socket FILE\n`
      : '') +
    'PKI configuration (required to use SSL):\n' +
    '  -p, --private-key=FILE  file with private key\n' +
    '  -c, --certificate=FILE  file with certificate for private key\n' +
    '  -C, --ca-cert=FILE      file with peer CA certificate\n' +
    (bootstrap ? '  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create\n' : '') +
    'SSL options:\n' +
    '  --ssl-protocols=PROTOS  list of SSL protocols to enable\n' +
    '  --ssl-ciphers=CIPHERS   list of SSL ciphers to enable\n'
  );
}
