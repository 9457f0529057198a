import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificate authorities and certificates made with openssl, in a directory of their own. */
export class Pki {
  readonly dir = mkdtempSync(join(tmpdir(), 'pki-'));

  /** The file of an authority's certificate, made when first asked for. */
  authority(name: string): string {
    const file = join(this.dir, `${name}.pem`);
    if (!this.#made.has(name)) {
      this.#made.add(name);
      this.#openssl(
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2'],
        ...['-subj', `/C=US/O=test/CN=${name}`, '-keyout', this.#key(name), '-out', file],
      );
    }
    return file;
  }

  /** A key and a certificate for `cn`, signed by an authority. */
  certificate(cn: string, authority: string): { key: string; certificate: string } {
    const ca = this.authority(authority);
    const name = `${cn}-by-${authority}`;
    const request = join(this.dir, `${name}.csr`);
    const certificate = join(this.dir, `${name}.pem`);
    this.#openssl(
      ...['req', '-newkey', 'rsa:2048', '-nodes', '-sha256', '-subj', `/C=US/O=test/CN=${cn}`],
      ...['-keyout', this.#key(name), '-out', request],
    );
    this.#openssl(
      ...['x509', '-req', '-sha256', '-days', '2', '-in', request, '-CA', ca, '-CAkey', this.#key(authority)],
      ...['-CAcreateserial', '-out', certificate],
    );
    return { key: this.#key(name), certificate };
  }

  /** Options of a program that is `cn` and trusts what `trusted` signed. */
  options(cn: string, authority: string, trusted = authority): string[] {
    const { key, certificate } = this.certificate(cn, authority);
    return [
      `--private-key=${key}`,
      `--certificate=${certificate}`,
      `--ca-cert=${trusted === 'none' ? 'none' : this.authority(trusted)}`,
    ];
  }

  readonly #made = new Set<string>();
  #key(name: string): string {
    return join(this.dir, `${name}.key`);
  }
  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }
}
