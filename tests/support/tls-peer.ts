import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a TLS client showed: the name it asked for (SNI), protocol version and cipher suite. */
export interface TlsHello {
  readonly serverName: string | null;
  readonly version: string;
  readonly cipher: string;
}

const program = `
import json, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
asked = None
def take(connection, name, _):
    global asked
    asked = name
context.sni_callback = take
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    try:
        with context.wrap_socket(client, server_side=True) as peer:
            print(json.dumps([asked, peer.version(), peer.cipher()[0]]), flush=True)
    except (OSError, ssl.SSLError): pass
`;

/** A TLS server of Python's, thus of OpenSSL, that tells what its clients ask for and closes. */
export class TlsPeer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, port: number) {
    this.#child = child;
    this.#lines = lines;
    this.port = port;
  }

  static async start(certificate: string, key: string): Promise<TlsPeer> {
    const child = spawn('python3', ['-c', program, certificate, key], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new TlsPeer(child, lines, Number((await lines.next()).value));
  }

  /** The next client that came through the handshake. */
  async hello(): Promise<TlsHello> {
    const [serverName, version, cipher] = JSON.parse(String((await this.#lines.next()).value)) as [
      string | null,
      string,
      string,
    ];
    return { serverName, version, cipher };
  }

  stop(): void {
    this.#child.kill();
  }
}
