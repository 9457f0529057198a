/**
 * The TLS files of a server, of which some may be named by a column of a database: read again whenever
 * databases change (ovsdb-server(1), "Public Key Infrastructure Options").
 */
import { TlsIdentity } from '../../stream/index.ts';
import type { TlsFiles } from '../../stream/index.ts';
import { rateLimit, vlog } from '../../util/log.ts';
import { isDbColumn, readDbString } from './db-column.ts';
import type { OvsdbServer } from './server.ts';

const log = vlog('ovsdb_server');
const errors = rateLimit(1, 5);
const fileKeys = ['privateKey', 'certificate', 'caCert', 'peerCaCert'] as const;

export class ServerTls {
  readonly identity: TlsIdentity;
  readonly #server: OvsdbServer;
  readonly #wanted: TlsFiles;

  /** @param identity With what the command line says, `db:` forms included. */
  constructor(server: OvsdbServer, identity: TlsIdentity) {
    this.#server = server;
    this.#wanted = identity.files;
    this.identity = new TlsIdentity(identity);
    this.refresh();
  }

  /** Whether a change of a database may change the files. */
  get followsDatabases(): boolean {
    return fileKeys.some((key) => isDbColumn(this.#wanted[key] ?? ''));
  }

  refresh(): void {
    const read = (key: (typeof fileKeys)[number]): string | null => {
      const text = this.#wanted[key];
      if (text === null || !isDbColumn(text)) return text;
      try {
        return readDbString(this.#server, text);
      } catch (error) {
        log.warn(error instanceof Error ? error.message : String(error), errors);
        return null;
      }
    };
    this.identity.configure({
      privateKey: read('privateKey'),
      certificate: read('certificate'),
      caCert: read('caCert'),
      peerCaCert: read('peerCaCert'),
    });
  }
}
