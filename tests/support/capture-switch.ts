import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { decodeHeader, messageLength } from '../../src/openflow/header.ts';
import { encodeMessage } from '../../src/openflow/codec.ts';
import type { OfpMessage } from '../../src/openflow/messages.ts';
import { OfpError } from '../../src/util/errors.ts';

/**
 * A switch that only listens: it answers what ovs-ofctl asks before it acts (features, tables, barriers)
 * with next to nothing and keeps every other message.
 */
export class CaptureSwitch {
  readonly path: string;
  readonly #server: Server;
  /** Version that the switch offers. */
  version = 1;
  captured: Uint8Array[] = [];

  constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => {
      this.#serve(socket);
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.path, resolve));
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
  }

  #serve(socket: Socket): void {
    let pending = new Uint8Array(0);
    const version = this.version;
    const send = (m: OfpMessage, xid: number): void => {
      for (const part of encodeMessage(m, xid, { version })) socket.write(part);
    };
    send({ type: 'hello', versionBitmap: 1 << version }, 1);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      pending = Uint8Array.from([...pending, ...chunk]);
      for (;;) {
        const length = messageLength(pending);
        if (length === 0 || pending.length < length) return;
        const bytes = pending.slice(0, length);
        pending = pending.slice(length);
        this.#answer(bytes, send);
      }
    });
  }

  #answer(bytes: Uint8Array, send: (m: OfpMessage, xid: number) => void): void {
    const xid = new DataView(bytes.buffer).getUint32(4);
    let name = '';
    try {
      name = decodeHeader(bytes).raw.name;
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
    }
    if (name === 'OFPT_HELLO' || name === 'NXT_SET_FLOW_FORMAT' || name === 'NXT_FLOW_MOD_TABLE_ID') return;
    if (name.endsWith('BARRIER_REQUEST')) send({ type: 'barrier_reply' }, xid);
    else if (name.endsWith('FEATURES_REQUEST') && name.startsWith('OFPT_')) {
      send(
        {
          type: 'features_reply', datapathId: 1n, nBuffers: 0, nTables: 254, auxiliaryId: 0,
          capabilities: new Set(), actions: 0xfff, ports: [],
        },
        xid,
      ); // prettier-ignore
    } else if (name.includes('TABLE_FEATURES')) {
      const table = {
        tableId: 0,
        name: 'table0',
        metadataMatch: 0n,
        metadataWrite: 0n,
        maxEntries: 1,
        nextTables: [],
      };
      send({ type: 'table_features_reply', tables: [table] }, xid);
    } else if (name.includes('PORT_DESC')) send({ type: 'port_desc_reply', ports: [] }, xid);
    else if (name.includes('_TABLE_')) send({ type: 'table_stats_reply', tables: [] }, xid);
    else this.captured.push(bytes);
  }
}
