/**
 * What a process presents to TLS peers and which peers it trusts.
 *
 * What: file names, given by options of the command line or by columns of a database, and the contexts
 * made of them. Files are looked at again for each connection: one that was replaced counts from the
 * next connection on. Nothing is read, and `node:tls` is not loaded, before the first TLS connection.
 *
 * As in OVS the certificate of the peer must be signed by our CA, and its name does not matter.
 * Threads: one. Source: ovsdb-server(1), "Public Key Infrastructure Options".
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import type { DetailedPeerCertificate, SecureContextOptions } from 'node:tls';
import { SystemError } from '../util/errors.ts';
import { rateLimit, vlog } from '../util/log.ts';
import { errnoOf, strerror } from './errno.ts';

const log = vlog('stream_ssl');
const errors = rateLimit(10, 25);

const defaultCiphers = 'HIGH:!aNULL:!MD5';
/** Without these Node would not offer TLS 1.3 at all. */
const ciphersuites = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_128_CCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
];
const defaultCiphersuites = ciphersuites.slice(0, 3).join(':');

/** openssl/ssl.h: SSL_OP_NO_TLSv1 and its like. */
const disableBits = { TLSv1: 0x0400_0000, 'TLSv1.1': 0x1000_0000, 'TLSv1.2': 0x0800_0000 } as const;

/** The files of an identity; null where none is given. */
export interface TlsFiles {
  readonly privateKey: string | null;
  readonly certificate: string | null;
  /** `none` trusts every peer. */
  readonly caCert: string | null;
  /** The CA certificate may be taken from the first peer, if the file does not exist. */
  readonly isBootstrap: boolean;
  /** Sent along with the certificate. */
  readonly peerCaCert: string | null;
}

export interface TlsContext {
  readonly options: SecureContextOptions;
  /** Whether a peer without a certificate of our CA is refused. */
  readonly verifies: boolean;
  /** Whether this connection is there to fetch the CA certificate. */
  readonly bootstraps: boolean;
  /** Changes whenever `options` do. */
  readonly serial: number;
}

interface CachedFile {
  readonly stamp: string;
  readonly contents: Buffer;
}

const noFiles: TlsFiles = {
  privateKey: null,
  certificate: null,
  caCert: null,
  isBootstrap: false,
  peerCaCert: null,
};

export class TlsIdentity {
  #files: TlsFiles = noFiles;
  #protocols: readonly string[] | null = null;
  #ciphers = defaultCiphers;
  #ciphersuites = defaultCiphersuites;
  /** What clients say that they want to reach (SNI); null = the host of the target, if that is a name. */
  serverName: string | null = null;
  readonly #cache = new Map<string, CachedFile>();
  #context: TlsContext | undefined;
  #serial = 0;

  /** @param other Whose settings are taken over. */
  constructor(other?: TlsIdentity) {
    if (other === undefined) return;
    this.#files = other.#files;
    this.#protocols = other.#protocols;
    this.#ciphers = other.#ciphers;
    this.#ciphersuites = other.#ciphersuites;
    this.serverName = other.serverName;
  }

  get files(): TlsFiles {
    return this.#files;
  }
  /** Whether anything was configured. */
  get isConfigured(): boolean {
    return this.#files !== noFiles;
  }

  /** Whether a connected peer has shown a certificate of our CA. */
  get verifies(): boolean {
    return this.#files.caCert !== null && this.#files.caCert !== 'none';
  }

  /** Changes some of the files. */
  configure(files: Partial<TlsFiles>): void {
    const next = { ...this.#files, ...files };
    if ((Object.keys(next) as (keyof TlsFiles)[]).every((key) => next[key] === this.#files[key])) return;
    if (next.caCert === 'none' && this.#files.caCert !== 'none')
      log.warn('Peer certificate validation disabled (this is a security risk)');
    this.#files = next;
    this.#context = undefined;
  }

  /** @param text Names set apart by commas or spaces, of which unknown ones are logged and ignored. */
  setProtocols(text: string): void {
    const words = text.split(/[ ,\t]+/).filter((word) => word !== '');
    for (const word of words) {
      if (word in disableBits) continue;
      log.err(`${word}: SSL protocol not recognized`);
      return;
    }
    if (words.length === 0) log.err('SSL protocol settings invalid');
    else this.#protocols = words;
    this.#context = undefined;
  }

  /** @param text An OpenSSL cipher string. */
  setCiphers(text: string): void {
    this.#ciphers = text;
    this.#context = undefined;
  }

  /** @param text Names of TLS 1.3's suites with colons between, of which one at least must be known. */
  setCiphersuites(text: string): void {
    const known = text.split(':').filter((name) => ciphersuites.includes(name));
    if (known.length === 0) {
      log.err('SSL_CTX_set_ciphersuites: error:0A0000B9:SSL routines::no cipher match');
      return;
    }
    this.#ciphersuites = known.join(':');
    this.#context = undefined;
  }

  /**
   * What the next connection uses.
   *
   * @throws SystemError ENOPROTOOPT if something is missing or unreadable; the reason is logged
   */
  context(isServer: boolean): TlsContext {
    const { privateKey, certificate, caCert, peerCaCert, isBootstrap } = this.#files;
    const bootstraps = isBootstrap && caCert !== null && caCert !== 'none' && stampOf(caCert) === '';
    const missing = [
      ...(privateKey === null ? ['Private key'] : []),
      ...(certificate === null ? ['Certificate'] : []),
      ...(caCert === null || (bootstraps && isServer) ? ['CA certificate'] : []),
    ].map((what) => unusable(`${what} must be configured to use SSL`));
    if (missing[0] !== undefined) throw missing[0];
    const read = (path: string | null, what: string): Buffer | null => {
      if (path === null) return null;
      const before = this.#cache.get(path);
      const contents = this.#read(path, what);
      if (before !== undefined && before.contents !== contents) this.#context = undefined;
      return contents;
    };
    const key = read(privateKey, 'SSL_use_PrivateKey_file');
    const cert = read(certificate, 'SSL_use_certificate_file');
    const ca = caCert === 'none' || bootstraps ? null : read(caCert, 'failed to load client certificates');
    const extra = read(peerCaCert, 'failed to open');
    if (this.#context?.bootstraps !== bootstraps) this.#context = undefined;
    this.#context ??= {
      options: {
        ...(key === null ? {} : { key }),
        ...(cert === null
          ? {}
          : { cert: extra === null ? cert : Buffer.concat([cert, Buffer.from('\n'), extra]) }),
        // An empty list, since Node would otherwise trust the CAs that the world trusts.
        ca: ca ?? [],
        ciphers: this.#protocols === null ? `${this.#ciphersuites}:${this.#ciphers}` : this.#ciphers,
        minVersion: 'TLSv1',
        ...(this.#protocols === null
          ? {}
          : { maxVersion: 'TLSv1.2', secureOptions: disabled(this.#protocols) }),
      },
      verifies: ca !== null,
      bootstraps,
      serial: ++this.#serial,
    };
    return this.#context;
  }

  #read(path: string, what: string): Buffer {
    const stamp = stampOf(path);
    const cached = this.#cache.get(path);
    if (cached?.stamp === stamp && stamp !== '') return cached.contents;
    try {
      const contents = readFileSync(path);
      this.#cache.set(path, { stamp, contents });
      return contents;
    } catch (error) {
      throw unusable(`${what}: ${path} (${strerror(errnoOf(error).code)})`);
    }
  }

  /**
   * Takes the CA certificate that a peer sent along and writes it to its file. The connection is then to
   * be dropped: the next one is verified by it.
   *
   * @param peer The peer's certificate, with its chain.
   */
  bootstrap(peer: DetailedPeerCertificate): void {
    const { caCert } = this.#files;
    if (caCert === null) return;
    const chain = chainOf(peer);
    const last = chain.at(-1);
    if (last === undefined) {
      log.err('could not bootstrap CA cert: no certificate presented by peer');
      return;
    }
    if (last.fingerprint256 !== last.issuerCertificate.fingerprint256) {
      log.err(
        'could not bootstrap CA cert: obtained certificate is not self-signed (unable to get issuer certificate)',
      );
      if (chain.length < 2) {
        log.err(
          'only one certificate was received, so probably the peer is not configured to send its CA certificate',
        );
      }
      return;
    }
    const base64 = last.raw.toString('base64').replace(/(.{64})(?=.)/g, '$1\n');
    try {
      writeFileSync(caCert, `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`, {
        flag: 'wx',
        mode: 0o444,
      });
    } catch (error) {
      const { code } = errnoOf(error);
      if (code === 'EEXIST') log.info(`reading CA cert ${caCert} created by another process`);
      else log.err(`could not bootstrap CA cert: creating ${caCert} failed: ${strerror(code)}`);
      return;
    }
    log.info(`successfully bootstrapped CA cert to ${caCert}`);
    log.info(`Trusting CA cert from ${caCert} (${subjectOf(last)}) (fingerprint ${last.fingerprint})`);
    log.info('killing successful connection to retry using CA cert');
  }
}

/** The identity of this process, which the options of its command line describe. */
export const processTls = new TlsIdentity();

function unusable(what: string): SystemError {
  log.err(what, errors);
  return new SystemError('ENOPROTOOPT', 92, 'ssl', strerror('ENOPROTOOPT'));
}

/** Empty if the file does not exist. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}

function disabled(enabled: readonly string[]): number {
  let bits = 0;
  for (const [name, bit] of Object.entries(disableBits)) if (!enabled.includes(name)) bits |= bit;
  return bits;
}

function chainOf(peer: DetailedPeerCertificate): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  // Without a certificate Node gives an empty object; a chain ends with one that is its own issuer, or with none.
  let at = peer as Partial<DetailedPeerCertificate> | undefined;
  while (at?.raw !== undefined && !chain.includes(at as DetailedPeerCertificate)) {
    chain.push(at as DetailedPeerCertificate);
    at = at.issuerCertificate;
  }
  return chain;
}

function subjectOf(certificate: DetailedPeerCertificate): string {
  return Object.entries(certificate.subject)
    .map(([name, value]) => `/${name}=${String(value)}`)
    .join('');
}
