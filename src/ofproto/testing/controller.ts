import type { CodecContext } from '../../openflow/codec.ts';
import { decodeMessage, encodeOne } from '../../openflow/codec.ts';
import type { OfpMessage } from '../../openflow/messages.ts';
import { OfpError } from '../../util/errors.ts';
import { MessageFramer } from '../connection/framer.ts';
import { encodeHello } from '../connection/hello.ts';
import type { Ofproto } from '../ofproto.ts';
import type { TestDependencies } from './bench.ts';
import { MemoryTransport, connectPair } from './bench.ts';

interface Received {
  readonly message: OfpMessage;
  readonly xid: number;
  readonly bytes: Uint8Array;
}

/** Replies that only the switch's side of the codecs knows (group features ...) become an error of their own. */
function decode(bytes: Uint8Array, version: number): Received {
  try {
    const { message, xid } = decodeMessage(bytes, { version });
    return { message, xid, bytes };
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
    return { message: { type: 'error', error: `undecodable: ${e.code}`, data: bytes }, xid: 0, bytes };
  }
}

/** A controller (or a tool like ovs-ofctl) at the far end of a connection, speaking real bytes. */
export class TestController {
  readonly transport = new MemoryTransport('controller');
  readonly version: number;
  readonly received: Received[] = [];
  closed = false;
  readonly #switch: Ofproto;
  readonly #deps: TestDependencies;
  readonly #framer = new MessageFramer();
  #xid = 100;

  constructor(ofproto: Ofproto, deps: TestDependencies, version: number) {
    this.#switch = ofproto;
    this.#deps = deps;
    this.version = version;
    this.transport.onData = (bytes) => {
      this.#framer.push(bytes, (message) => {
        this.received.push(decode(message, version));
      });
    };
    this.transport.onClose = () => {
      this.closed = true;
    };
  }

  /** Connects to a listener of the switch. */
  static connect(
    ofproto: Ofproto,
    deps: TestDependencies,
    version: number,
    target = 'punix:br0.mgmt',
  ): TestController {
    const controller = new TestController(ofproto, deps, version);
    const own = new MemoryTransport('unix#1');
    connectPair(own, controller.transport);
    const accept = deps.connections.listeners.get(target);
    if (accept === undefined) throw new Error(`nobody listens on ${target}`);
    accept(own);
    controller.#greet();
    return controller;
  }

  /** Answers the switch's latest attempt to connect. */
  static answer(ofproto: Ofproto, deps: TestDependencies, version: number): TestController {
    const controller = new TestController(ofproto, deps, version);
    const attempt = deps.connections.attempts.at(-1);
    if (attempt === undefined) throw new Error('the switch has not tried to connect');
    connectPair(attempt.transport, controller.transport);
    attempt.transport.onConnect();
    controller.#greet();
    return controller;
  }

  #greet(): void {
    this.transport.send(encodeHello((2 << this.version) - 2, 1));
    this.#run();
    this.received.length = 0;
  }

  #run(): void {
    while (this.#switch.run(this.#deps.clock.nowMs()) > 0);
  }

  /** Sends a request; returns what came back. */
  request(message: OfpMessage, context: Partial<CodecContext> = {}): OfpMessage[] {
    return this.raw(encodeOne(message, ++this.#xid, { version: this.version, ...context }));
  }

  raw(bytes: Uint8Array): OfpMessage[] {
    this.received.length = 0;
    this.transport.send(bytes);
    this.#run();
    return this.take();
  }

  /** What has come since the last look. */
  take(): OfpMessage[] {
    return this.received.splice(0).map((r) => r.message);
  }
}
