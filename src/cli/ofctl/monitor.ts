/** `ovs-ofctl monitor` and `snoop`: shows what a switch sends, in the foreground or as a daemon. */
import { openSync, writeSync } from 'node:fs';
import { decodeMessage } from '../../openflow/codec.ts';
import type { OfpMessage, PacketIn } from '../../openflow/messages.ts';
import { OFP_HEADER_SIZE } from '../../openflow/header.ts';
import { formatMessage } from '../../openflow/print-message.ts';
import { parseHex } from '../../openflow/parse-actions.ts';
import { noPorts } from '../../flow/port-map.ts';
import { OfpError, OvsError, SystemError, UsageError } from '../../util/errors.ts';
import type { UnixctlCommands, UnixctlServer } from '../../stream/unixctl.ts';
import { daemonSpecs, ofctlSpecs } from './options.ts';
import type { Session } from './session.ts';
import { getConfig, packetOutMessage, parsePacketOut } from './switch-commands.ts';
import type { Vconn } from './vconn.ts';

type Args = readonly string[];
const STDERR = 2;

export async function monitor(s: Session, args: Args): Promise<void> {
  const [name = '', ...words] = args;
  const ready = await becomeDaemon(s);
  const vconn = await s.open(name);
  let resume = false;
  for (const word of words) {
    if (/^\d/.test(word)) {
      const config = await getConfig(vconn);
      const missSendLen = Number.parseInt(word, 10) & 0xffff;
      await s.transactNoReply(vconn, { ...config, type: 'set_config', missSendLen });
    } else if (word === 'invalid_ttl') {
      const config = await getConfig(vconn);
      await s.transactNoReply(vconn, { ...config, type: 'set_config', invalidTtlToController: true });
    } else if (word === 'resume') resume = true;
    else throw new UsageError(`${word}: unsupported "monitor" argument`);
  }
  await choosePacketInFormat(s, vconn);
  await new Monitor(s, vconn, resume).run(ready);
}

export async function snoop(s: Session, [name = '']: Args): Promise<void> {
  const ready = await becomeDaemon(s);
  await new Monitor(s, await s.open(name, 'snoop'), false).run(ready);
}

async function choosePacketInFormat(s: Session, vconn: Vconn): Promise<void> {
  const { packetInFormat } = s.options;
  const set = (format: NonNullable<typeof packetInFormat>): Promise<Uint8Array | undefined> =>
    vconn.transactNoReply({ type: 'nx_set_packet_in_format', format });
  if (packetInFormat === null) {
    // The newest that the switch knows.
    const error = await set('nxt_packet_in2');
    if (error && vconn.version === 1) await set('nxt_packet_in');
    return;
  }
  const error = await set(packetInFormat);
  if (!error) return;
  throw new UsageError(
    `${vconn.name}: failed to set packet in format to nx_packet_in, controller replied: ${formatMessage(error)}`,
  );
}

/** Goes into the background if asked to. @returns What to call once all is ready. */
async function becomeDaemon(s: Session): Promise<() => void> {
  const { daemonArgv } = s.options;
  if (daemonArgv === null) return () => undefined;
  const { daemonizeComplete, daemonizeStart, parseDaemonOptions } = await import('../../sys/daemon.ts');
  const shared = new Set([
    'verbose',
    'log-file',
    'syslog-target',
    'syslog-method',
    ...daemonSpecs.map((d) => d.name),
  ]);
  const own = ofctlSpecs.filter((o) => !shared.has(o.name));
  const { daemon } = parseDaemonOptions('ovs-ofctl', daemonArgv, own);
  await daemonizeStart(daemon);
  return () => {
    // What is shown goes to standard error, wherever that leads.
    daemonizeComplete(daemon, [STDERR]);
  };
}

/** Shows messages until the connection or the user ends it; `ovs-appctl -t ovs-ofctl` steers it. */
class Monitor {
  readonly #session: Session;
  readonly #vconn: Vconn;
  readonly #resume: boolean;
  #outputFd = STDERR;
  #unblock: (() => void) | undefined;
  #unblocked: Promise<void> = Promise.resolve();
  #barrier: { readonly xid: number; readonly done: () => void } | undefined;
  #exit = (): void => undefined;
  readonly #exited = new Promise<null>((resolve) => {
    this.#exit = () => {
      resolve(null);
    };
  });

  constructor(session: Session, vconn: Vconn, resume: boolean) {
    this.#session = session;
    this.#vconn = vconn;
    this.#resume = resume;
  }

  async run(ready: () => void): Promise<void> {
    const server = await this.#listen();
    ready();
    for (;;) {
      const bytes = await Promise.race([this.#vconn.receive(), this.#exited]);
      if (bytes === null) break;
      await Promise.race([this.#unblocked, this.#exited]);
      this.#take(bytes);
    }
    await server.drain();
    await server.close();
    this.#vconn.close();
  }

  #take(bytes: Uint8Array): void {
    const { verbosity, timestamp } = this.#session.options;
    if (timestamp) this.#write(timestampText());
    this.#write(formatMessage(bytes, { verbosity: verbosity + 2 }));
    const xid = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
    if (this.#barrier?.xid === xid) {
      this.#barrier.done();
      this.#barrier = undefined;
    }
    if (this.#vconn.answerEcho(bytes) || !this.#resume) return;
    const packetIn = pausedPacketIn(bytes);
    if (packetIn) this.#vconn.send({ type: 'nx_resume', packetIn });
  }

  #write(text: string): void {
    if (this.#outputFd === STDERR) this.#session.output.err(text);
    else writeSync(this.#outputFd, text);
  }

  async #listen(): Promise<UnixctlServer> {
    const { UnixctlCommands, UnixctlServer } = await import('../../stream/unixctl.ts');
    const { registerDaemonCommands } = await import('../../stream/daemon-commands.ts');
    const { absFileName, ovsRundir } = await import('../../sys/dirs.ts');
    const { unlinkAtExit } = await import('../../sys/exit-hooks.ts');
    const commands = new UnixctlCommands('ovs-ofctl (Open vSwitch) 3.1.0');
    registerDaemonCommands(commands, () => ({}));
    this.#register(commands);
    const server = new UnixctlServer(commands);
    const { unixctl } = this.#session.options;
    if (unixctl === 'none') return server;
    const path = absFileName(ovsRundir(), unixctl ?? `ovs-ofctl.${process.pid}.ctl`);
    try {
      await server.listen(path);
    } catch (e) {
      if (!(e instanceof SystemError)) throw e;
      throw new UsageError(`failed to create unixctl server (${e.message})`);
    }
    unlinkAtExit(path);
    return server;
  }

  #register(commands: UnixctlCommands): void {
    commands.registerCommand('exit', '', 0, 0, () => {
      this.#exit();
      return '';
    });
    commands.registerCommand('ofctl/send', 'OFMSG...', 1, Infinity, (args) => this.#send(args));
    commands.registerCommand(
      'ofctl/packet-out',
      '"in_port=<port> packet=<hex data> actions=..."',
      1,
      1,
      ([text = '']) => this.#packetOut(text),
    );
    commands.registerCommand('ofctl/barrier', '', 0, 0, () => this.#sendBarrier());
    commands.registerCommand('ofctl/set-output-file', 'FILE', 1, 1, ([path = '']) => {
      this.#outputFd = openSync(path, 'w', 0o666);
      return '';
    });
    commands.registerCommand('ofctl/block', '', 0, 0, () => {
      if (this.#unblock) return 'already blocking';
      this.#unblocked = new Promise((resolve) => {
        this.#unblock = resolve;
      });
      return '';
    });
    commands.registerCommand('ofctl/unblock', '', 0, 0, () => {
      if (!this.#unblock) return 'already unblocked';
      this.#unblock();
      this.#unblock = undefined;
      return '';
    });
  }

  #send(messages: Args): string {
    let text = '';
    for (const hex of messages) {
      const bytes = parseHex(hex);
      if (!bytes) throw new OvsError('EINVAL', `${text}Trailing garbage in hex data\n`);
      if (bytes.length < OFP_HEADER_SIZE)
        throw new OvsError('EINVAL', `${text}Message too short for OpenFlow\n`);
      this.#write(`send: ${formatMessage(bytes, { verbosity: this.#session.options.verbosity })}`);
      this.#vconn.sendBytes(bytes);
      text += 'sent\n';
    }
    return text;
  }

  #packetOut(text: string): string {
    let message: OfpMessage;
    try {
      message = packetOutMessage(parsePacketOut(text, noPorts));
    } catch (e) {
      if (e instanceof UsageError) throw new OvsError('EINVAL', `${e.message}\n`);
      throw e;
    }
    const bytes = this.#vconn.encode(message);
    this.#write(formatMessage(bytes, { verbosity: this.#session.options.verbosity }));
    this.#vconn.sendBytes(bytes);
    return '';
  }

  async #sendBarrier(): Promise<string> {
    if (this.#barrier) throw new OvsError('EINVAL', 'already waiting for barrier reply');
    await new Promise<void>((done) => {
      this.#barrier = { xid: this.#vconn.send({ type: 'barrier_request' }), done };
    });
    return '';
  }
}

function timestampText(): string {
  const now = new Date();
  return `${now.toISOString().slice(0, 23).replace('T', ' ')}: `;
}

/** A packet-in that waits for its resumption. */
function pausedPacketIn(bytes: Uint8Array): PacketIn | undefined {
  try {
    const { message } = decodeMessage(bytes);
    return message.type === 'packet_in' && message.continuation ? message : undefined;
  } catch (e) {
    if (e instanceof OfpError) return undefined;
    throw e;
  }
}
