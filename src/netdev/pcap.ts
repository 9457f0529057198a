import { closeSync, openSync, writeSync } from 'node:fs';
import { systemError } from '../sys/errno.ts';

const snapLength = 1518;
const linkTypeEthernet = 1;

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
    const header = new DataView(new ArrayBuffer(24));
    header.setUint32(0, 0xa1b2c3d4, true);
    header.setUint16(4, 2, true);
    header.setUint16(6, 4, true);
    header.setUint32(16, snapLength, true);
    header.setUint32(20, linkTypeEthernet, true);
    writeSync(this.#fd, new Uint8Array(header.buffer));
  }
  write(bytes: Uint8Array, wallMs: number): void {
    const record = new Uint8Array(16 + bytes.length);
    const view = new DataView(record.buffer);
    view.setUint32(0, Math.floor(wallMs / 1000), true);
    view.setUint32(4, Math.floor((wallMs % 1000) * 1000), true);
    view.setUint32(8, bytes.length, true);
    view.setUint32(12, bytes.length, true);
    record.set(bytes, 16);
    writeSync(this.#fd, record);
  }
  close(): void {
    closeSync(this.#fd);
  }
}
