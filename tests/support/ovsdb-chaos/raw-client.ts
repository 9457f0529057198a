import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { JsonStreamParser, formatJson, isJsonArray, isJsonObject } from '../../../src/stream/index.ts';
import type { Json, JsonObject } from '../../../src/stream/index.ts';

/** `{ result, error }` as on the wire; null: the connection was lost first. */
export type RawReply = JsonObject | null;

/** A client on a bare socket, which may stop reading or close its half. Answers probes while it reads. */
export class RawClient {
  readonly #socket: Socket;
  readonly #replies = new Map<number, (reply: RawReply) => void>();
  #nextId = 0;
  isOpen = true;
  readonly closed: Promise<void>;
  onNotification: (method: string, params: readonly Json[]) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const parser = new JsonStreamParser();
    socket.on('data', (bytes: Buffer) => parser.feed(bytes, (json) => this.#onMessage(json)));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        this.isOpen = false;
        for (const reply of this.#replies.values()) reply(null);
        this.#replies.clear();
        resolve();
      }),
    );
  }

  /** @returns null if nobody listens there */
  static async connect(path: string): Promise<RawClient | null> {
    const socket = connect({ path, allowHalfOpen: true });
    return await new Promise((resolve) => {
      socket.once('error', () => resolve(null));
      socket.once('connect', () => resolve(new RawClient(socket)));
    });
  }

  #onMessage(json: Json): void {
    if (!isJsonObject(json)) throw new Error(`no message: ${formatJson(json)}`);
    const { id = null, method, params } = json;
    if (typeof method === 'string') {
      if (id === null) this.onNotification(method, isJsonArray(params) ? params : []);
      else this.#write({ id, result: params ?? [], error: null });
      return;
    }
    const reply = this.#replies.get(Number(id));
    this.#replies.delete(Number(id));
    reply?.(json);
  }

  #write(json: Json): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(formatJson(json));
  }

  async call(method: string, params: readonly Json[]): Promise<RawReply> {
    if (!this.isOpen) return null;
    const id = this.#nextId++;
    return await new Promise((resolve) => {
      this.#replies.set(id, resolve);
      this.#write({ id, method, params });
    });
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
  /** Says that nothing more will be sent; the server closes then. */
  endWriting(): void {
    this.#socket.end();
  }
  destroy(): void {
    this.#socket.destroy();
  }
}
