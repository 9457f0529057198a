import { closeSync, openSync, writeSync } from 'node:fs';
import { systemError } from '../sys/errno.ts';
import { encodePcapHeader, encodePcapRecord } from '../wire/pcap.ts';

/**
 * Writes packets to a file in libpcap's format 2.4, as OVS's ovs_pcap does: host byte order, a
 * nominal snap length of 1518, frames whole.
 */
export class PcapWriter {
  readonly #fd: number;
  /** Creates or truncates the file. @throws SystemError */
  constructor(path: string) {
    try {
      this.#fd = openSync(path, 'w', 0o644);
    } catch (error) {
      const errno = error instanceof Error && 'errno' in error ? -Number(error.errno) : 5;
      throw systemError(errno, 'open', `${path}: failed to open pcap file for writing`);
    }
    writeSync(this.#fd, encodePcapHeader());
  }
  write(bytes: Uint8Array, wallMs: number): void {
    writeSync(this.#fd, encodePcapRecord({ timeMs: wallMs, bytes }));
  }
  close(): void {
    closeSync(this.#fd);
  }
}
