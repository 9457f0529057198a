/**
 * JSON-RPC 1.0 messages and a connection that carries them (RFC 7047 §4, lib/jsonrpc of OVS).
 *
 * A connection parses what arrives, checks its shape, and gives each message to `onMessage`. After
 * bytes that are not JSON-RPC it closes with EPROTO, since it cannot know where the next message starts.
 *
 * A server reads a client's next request only when the client has taken the replies to earlier ones
 * (`holdsBack`), so that one that never reads costs little memory. Clients must not do so: two
 * peers that both wait for the other to read would wait for ever.
 *
 * What is sent leaves when the callback at hand ends (a microtask): replies to requests that came
 * together, and updates they cause, take one write instead of one each.
 */
import { SystemError } from '../util/errors.ts';
import { rateLimit, vlog } from '../util/log.ts';
import type { ByteStream, StreamHandlers } from './byte-stream.ts';
import { JsonStreamParser } from './json-stream.ts';
import { formatJson, isJsonArray, isJsonObject } from './json.ts';
import type { Json } from './json.ts';

const log = vlog('jsonrpc');
const badMessages = rateLimit(60, 5);
/** Replies not taken by the kernel from which on a server holds back; more than a stream's `onDrain` needs. */
const holdBackBytes = 128 * 1024;
/** Characters gathered at most before they are written. */
const gatherLength = 64 * 1024;

export interface JsonRpcOptions {
  /** Longest message accepted. */
  readonly maxMessageBytes?: number;
  /** Messages wait while the peer does not read. */
  readonly holdsBack?: boolean;
}

export type JsonRpcMessage =
  | { readonly kind: 'request'; readonly id: Json; readonly method: string; readonly params: readonly Json[] }
  | { readonly kind: 'notification'; readonly method: string; readonly params: readonly Json[] }
  | { readonly kind: 'reply'; readonly id: Json; readonly result: Json }
  | { readonly kind: 'error'; readonly id: Json; readonly error: Json };

/**
 * Checks that a JSON value is a message.
 *
 * @returns The message, or what is wrong with it.
 */
export function messageFromJson(json: Json): JsonRpcMessage | string {
  if (!isJsonObject(json)) return 'message is not a JSON object';
  for (const key of Object.keys(json)) {
    if (!['method', 'params', 'result', 'error', 'id'].includes(key))
      return `message has unexpected member "${key}"`;
  }
  const { method, params = null, result = null, error = null, id = null } = json;
  if (method !== undefined && method !== null) {
    if (typeof method !== 'string') return 'method is not a JSON string';
    if (!isJsonArray(params)) {
      return params === null ? 'request must have "params"' : '"params" must be JSON array';
    }
    if (result !== null || error !== null) return 'request must not have "result" or "error"';
    return id === null ? { kind: 'notification', method, params } : { kind: 'request', id, method, params };
  }
  if (id === null) return 'reply must have "id"';
  if (params !== null) return 'reply must not have "params"';
  if (error !== null) return result === null ? { kind: 'error', id, error } : 'error must not have "result"';
  return { kind: 'reply', id, result };
}

function messageToJson(message: JsonRpcMessage): Json {
  switch (message.kind) {
    case 'request':
      return { id: message.id, method: message.method, params: message.params };
    case 'notification':
      return { id: null, method: message.method, params: message.params };
    case 'reply':
      return { id: message.id, result: message.result, error: null };
    case 'error':
      // RFC 7047 has a null result here, OVS has none.
      return { id: message.id, error: message.error };
  }
}

export interface JsonRpcHandlers {
  onMessage(message: JsonRpcMessage): void;
  onClose(error: SystemError | null): void;
  /** The peer has read a backlog that had grown beyond some 16 KB. */
  onDrain?(): void;
}

export class JsonRpcConnection {
  readonly #stream: ByteStream;
  readonly #parser: JsonStreamParser;
  #handlers: JsonRpcHandlers | undefined;
  #isOpen = true;
  #error: SystemError | null = null;
  #nextId = 0;
  readonly #holdsBack: boolean;
  /** Messages that wait until the peer has read. */
  readonly #held: JsonRpcMessage[] = [];
  /** Messages sent since the last write. */
  #gathered = '';

  constructor(stream: ByteStream, options: JsonRpcOptions = {}) {
    this.#stream = stream;
    this.#parser = new JsonStreamParser(options.maxMessageBytes);
    this.#holdsBack = options.holdsBack ?? false;
  }

  get name(): string {
    return this.#stream.name;
  }
  get localAddress(): string {
    return this.#stream.localAddress;
  }
  get peerId(): string | null {
    return this.#stream.peerId;
  }
  get isOpen(): boolean {
    return this.#isOpen;
  }
  get backlogBytes(): number {
    return this.#stream.backlogBytes + this.#gathered.length;
  }

  /** Starts delivery. Call once. */
  start(handlers: JsonRpcHandlers): void {
    this.#stream.start(this.attach(handlers));
  }

  /** As `start`, for a stream whose delivery someone else starts (`SessionOptions.onConnect`). */
  attach(handlers: JsonRpcHandlers): StreamHandlers {
    this.#handlers = handlers;
    return {
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => this.#onDrain(),
      onClose: (error) => {
        this.#isOpen = false;
        handlers.onClose(this.#error ?? error);
      },
    };
  }

  #onData(bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    try {
      this.#parser.feed(bytes, (json) => this.#onJson(json));
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      log.warn(`${this.name}: error parsing stream: ${what}`, badMessages);
      this.#fail(what);
    }
  }

  #onJson(json: Json): void {
    if (!this.#isOpen) return;
    const message = messageFromJson(json);
    if (typeof message === 'string') {
      log.warn(`${this.name}: received bad JSON-RPC message: ${message}`, badMessages);
      this.#fail(message);
      return;
    }
    if (log.enabled('dbg')) log.dbg(`${this.name}: received ${describe(message)}`);
    if (this.#holdsBack && (this.#held.length > 0 || this.backlogBytes > holdBackBytes)) {
      this.#held.push(message);
      this.#stream.pause();
    } else this.#handlers?.onMessage(message);
  }

  #onDrain(): void {
    if (this.#isOpen) this.#handlers?.onDrain?.();
    while (this.#isOpen && this.backlogBytes <= holdBackBytes) {
      const message = this.#held.shift();
      if (message === undefined) {
        this.#stream.resume();
        return;
      }
      this.#handlers?.onMessage(message);
    }
  }

  #fail(what: string): void {
    this.#isOpen = false;
    this.#error = new SystemError('EPROTO', 71, 'read', `${this.name}: ${what}`);
    // What came before in the same bytes has been answered.
    this.#write();
    this.#stream.destroy();
  }

  send(message: JsonRpcMessage): void {
    if (!this.#isOpen) return;
    if (log.enabled('dbg')) log.dbg(`${this.name}: send ${describe(message)}`);
    this.#gather(formatJson(messageToJson(message)));
  }

  /** Sends the text of a message, which the caller has made for many connections. */
  sendText(text: string): void {
    if (!this.#isOpen) return;
    if (log.enabled('dbg')) log.dbg(`${this.name}: send ${text}`);
    this.#gather(text);
  }

  #gather(text: string): void {
    if (this.#gathered === '') queueMicrotask(() => this.#write());
    this.#gathered += text;
    if (this.#gathered.length > gatherLength) this.#write();
  }

  #write(): void {
    const text = this.#gathered;
    if (text === '') return;
    this.#gathered = '';
    this.#stream.send(text);
  }

  /** Sends a request and returns its id; the reply comes to `onMessage`. */
  request(method: string, params: readonly Json[]): number {
    const id = this.#nextId++;
    this.send({ kind: 'request', id, method, params });
    return id;
  }

  notify(method: string, params: readonly Json[]): void {
    this.send({ kind: 'notification', method, params });
  }
  reply(id: Json, result: Json): void {
    this.send({ kind: 'reply', id, result });
  }
  replyError(id: Json, error: Json): void {
    this.send({ kind: 'error', id, error });
  }

  close(): void {
    this.#isOpen = false;
    this.#write();
    this.#stream.close();
  }

  /** Ends the connection at once, as after a missed probe. */
  abort(error: SystemError | null): void {
    this.#isOpen = false;
    this.#error ??= error;
    this.#write();
    this.#stream.destroy();
  }
}

function describe(message: JsonRpcMessage): string {
  switch (message.kind) {
    case 'request':
      return `request, method="${message.method}", params=${formatJson(message.params)}, id=${formatJson(message.id)}`;
    case 'notification':
      return `notification, method="${message.method}", params=${formatJson(message.params)}`;
    case 'reply':
      return `reply, result=${formatJson(message.result)}, id=${formatJson(message.id)}`;
    case 'error':
      return `error, error=${formatJson(message.error)}, id=${formatJson(message.id)}`;
  }
}
