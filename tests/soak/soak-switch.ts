import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/util/random.ts';
import { waitFor, type SwitchUnderTest } from '../support/daemons.ts';
import { sh } from '../support/netns.ts';
import { randomMatchText } from '../support/random-flows.ts';

/** Log lines of warning or worse that what the soak does explains. */
const explained = [
  /thread \S+ died \(no cause given\)/, // supervisor/kill
  /connection (attempt )?failed|connection (closed|dropped|reset)|Connection re(fused|set)|Broken pipe|reconnect/i,
  /could not open network device|No such device|failed to set MTU/, // devices come and go
  /no (OpenFlow )?response|inactivity|send error|received? error|End of file/i,
  /dropping VLAN|failing open/,
  /peer/i, // patch ports whose other end is not there yet
  /dropping over-deep|over max|resubmit|recursion/i,
  /Unreasonably long .* poll interval|blocked \d+ ms|faults: |context switches|disk: |wakeup due to/,
  /OFPT_ERROR|sent .* error|statistics|\|ofproto.*\|INFO/,
];

/** A number out of [0, n). */
export function below(random: Random, n: number): number {
  return random.u32() % n;
}

export function pick<T>(random: Random, list: readonly T[]): T {
  const item = list[below(random, list.length)];
  if (item === undefined) throw new Error('an empty list');
  return item;
}

/**
 * What a soak does to a running switch, by the stock tools, and what it checks. All devices,
 * namespaces and bridges are named `sk*`.
 */
export class SoakSwitch {
  readonly s: SwitchUnderTest;
  readonly random: Random;
  readonly isDummy: boolean;
  /** Threads killed so far. */
  kills = 0;
  #logSeen = 0;
  #controller: Server | null = null;

  constructor(s: SwitchUnderTest, random: Random, isDummy: boolean) {
    this.s = s;
    this.random = random;
    this.isDummy = isDummy;
  }

  vsctl(...args: string[]): string {
    return this.s.stockOk('ovs-vsctl', '--timeout=30', ...args);
  }

  ofctl(...args: string[]): string {
    return this.s.stockOk('ovs-ofctl', ...args);
  }

  appctl(...args: string[]): string {
    return this.s.stockOk('ovs-appctl', ...args);
  }

  addBridge(name: string): void {
    const type = this.isDummy ? 'dummy' : 'netdev';
    this.vsctl('--may-exist', 'add-br', name, '--', 'set', 'bridge', name, `datapath_type=${type}`);
  }

  /** A dummy port, or one end of a veth pair whose other end is in namespace `skns`. */
  addPort(bridge: string, name: string): void {
    if (!this.isDummy)
      sh(
        `ip link add ${name} type veth peer name ${name} netns skns && ip link set ${name} up && ip -n skns link set ${name} up`,
      );
    this.vsctl(
      'add-port',
      bridge,
      name,
      ...(this.isDummy ? ['--', 'set', 'interface', name, 'type=dummy'] : []),
    );
  }

  delPort(bridge: string, name: string): void {
    // In either order: the device may go before its port.
    const deviceFirst = !this.isDummy && below(this.random, 2) === 0;
    if (deviceFirst) sh(`ip link del ${name}`);
    this.vsctl('del-port', bridge, name);
    if (!this.isDummy && !deviceFirst) sh(`ip link del ${name}`);
  }

  /** A few packets into a port. */
  traffic(name: string, count = 20): void {
    const r = this.random;
    if (this.isDummy) {
      for (let i = 0; i < count; i += 1) {
        const host = (n: number): string => `50:54:00:00:00:0${n % 10}`;
        const flow = `in_port(1),eth(src=${host(r.u32())},dst=${host(r.u32())}),eth_type(0x0800),ipv4(src=10.0.0.${below(r, 250)},dst=10.0.0.${below(r, 250)},proto=17,tos=0,ttl=64,frag=no),udp(src=${below(r, 65536)},dst=53)`;
        this.appctl('netdev-dummy/receive', name, flow);
      }
      return;
    }
    const script = `import socket,random
random.seed(${r.u32()})
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(("${name}",0))
for i in range(${count * 10}):
    m=lambda: bytes([0x50,0x54,0,0,0,random.randrange(10)])
    f=m()+m()+b"\\x08\\x00"+bytes([0x45,0,0,46,0,0,0,0,64,17,0,0,10,0,0,random.randrange(250),10,0,0,random.randrange(250)])+random.randbytes(26)
    s.send(f)`;
    sh(`ip netns exec skns python3 -c '${script}'`);
  }

  flowMods(bridge: string, count: number): void {
    const r = this.random;
    const actions = [
      'drop',
      'NORMAL',
      'output:1',
      'FLOOD',
      'set_field:7->reg2,resubmit(,4)',
      'resubmit(,1)',
      'mod_vlan_vid:7,FLOOD',
      'push_vlan:0x8100,set_field:5->reg0,resubmit(,2)',
      'learn(table=3,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),NORMAL',
      'CONTROLLER:60',
    ];
    const lines = Array.from({ length: count }, () => {
      const match = randomMatchText(r);
      const table = below(r, 6);
      const timeouts =
        below(r, 8) === 0 ? `,idle_timeout=${1 + below(r, 2)}` : below(r, 8) === 0 ? ',hard_timeout=1' : '';
      return `table=${table},priority=${below(r, 500)},cookie=${below(r, 8)}${timeouts}${match === '' ? '' : `,${match}`},actions=${pick(r, actions)}`;
    });
    this.#addFlows(bridge, lines);
    this.ofctl(
      '-O',
      'OpenFlow13',
      'add-flow',
      bridge,
      `table=${below(r, 6)},ip,actions=clear_actions,write_actions(output:2),goto_table:200`,
    );
    this.ofctl('mod-flows', bridge, `table=${below(r, 6)},cookie=${below(r, 8)}/-1,actions=drop`);
    this.ofctl('del-flows', bridge, `table=${below(r, 6)},ip`);
    this.ofctl('dump-flows', bridge);
    this.ofctl('dump-aggregate', bridge);
    if (below(r, 2) === 0) this.ofctl('add-flow', bridge, 'priority=1,actions=NORMAL');
  }

  /** Some matches cannot be told in the protocol that others need: such files go in two halves. */
  #addFlows(bridge: string, lines: readonly string[]): void {
    const file = join(this.s.rundir, 'flows.txt');
    writeFileSync(file, `${lines.join('\n')}\n`);
    const protocol = pick(this.random, ['OpenFlow10', 'OpenFlow13']);
    if (this.s.stock('ovs-ofctl', '-O', protocol, 'add-flows', bridge, file).status === 0 || lines.length < 2)
      return;
    const half = lines.length >> 1;
    this.#addFlows(bridge, lines.slice(0, half));
    this.#addFlows(bridge, lines.slice(half));
  }

  async controllerOn(bridge: string): Promise<void> {
    this.#controller ??= await new Promise<Server>((resolve) => {
      const server = createServer((c) => {
        c.on('error', () => undefined);
        // One that answers nothing, one that leaves at once, one that talks nonsense.
        const kind = below(this.random, 3);
        if (kind === 1) c.destroy();
        if (kind === 2) c.write(new Uint8Array(64).map(() => below(this.random, 256)));
      });
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
    const address = this.#controller.address();
    const port = typeof address === 'object' && address !== null ? address.port : 1;
    this.vsctl(
      'set-controller',
      bridge,
      `tcp:127.0.0.1:${port}`,
      'tcp:127.0.0.1:1',
      `punix:${this.s.rundir}/${bridge}.extra`,
    );
    this.vsctl('set-fail-mode', bridge, pick(this.random, ['secure', 'standalone']));
  }

  controllerOff(bridge: string): void {
    this.vsctl('del-controller', bridge, '--', 'del-fail-mode', bridge);
  }

  killThread(): void {
    const names = this.appctl('supervisor/show')
      .split('\n')
      .map((l) => l.split(' ')[0] ?? '')
      .filter((n) => n !== '');
    if (names.length === 0) return;
    this.kills++;
    this.s.stock('ovs-appctl', 'supervisor/kill', pick(this.random, names));
  }

  threads(): void {
    const r = this.random;
    this.vsctl(
      'set',
      'Open_vSwitch',
      '.',
      `other_config:n-revalidator-threads=${1 + below(r, 4)}`,
      `other_config:n-handler-threads=${1 + below(r, 3)}`,
      `other_config:pmd-cpu-mask=${pick(r, ['1', '2', '3'])}`,
    );
  }

  caches(): void {
    const r = this.random;
    const commands = [
      ['revalidator/purge'],
      ['upcall/disable-megaflows'],
      ['upcall/enable-megaflows'],
      ['fdb/flush'],
      ['dpctl/dump-flows', '-m'],
      ['dpif-netdev/pmd-stats-show'],
      ['upcall/show'],
      ['coverage/show'],
      ['dpif-netdev/pmd-stats-clear'],
      ['ofproto/list'],
    ] as const;
    // Nothing but the other commands goes on between pause and resume.
    const isPaused = below(r, 2) === 0;
    if (isPaused) this.appctl('revalidator/pause');
    for (let i = 0; i < 5; i++) this.appctl(...pick(r, commands));
    if (isPaused) this.appctl('revalidator/resume');
    this.appctl('revalidator/wait');
    this.appctl('upcall/enable-megaflows');
  }

  /** Log lines since the last call that nothing explains. */
  unexplained(): string[] {
    const log = this.s.log();
    const lines = log.slice(this.#logSeen).split('\n');
    this.#logSeen = log.length;
    return lines.filter((l) => /\|(WARN|ERR|EMER)\|/.test(l) && !explained.some((e) => e.test(l)));
  }

  memory(): Map<string, number> {
    const words = this.appctl('memory/show')
      .trim()
      .split(/(?<=:\d+) /);
    return new Map(
      words.map((w) => [w.slice(0, w.lastIndexOf(':')), Number(w.slice(w.lastIndexOf(':') + 1))]),
    );
  }

  /** Memory once nothing waits to be freed any more. */
  async settledMemory(): Promise<Map<string, number>> {
    this.appctl('revalidator/purge');
    this.appctl('fdb/flush');
    await waitFor(
      () => {
        this.appctl('revalidator/wait');
        return (this.memory().get('arena limbo') ?? 0) === 0;
      },
      `limbo drains (${this.appctl('memory/show')})`,
      20_000,
    );
    return this.memory();
  }

  end(): void {
    this.#controller?.close();
  }
}

/** A ping that goes on for the whole soak; what it lost is told at its end. */
export class SteadyPing {
  readonly #child: ChildProcess;
  #out = '';

  constructor(namespace: string, address: string) {
    this.#child = spawn('ip', ['netns', 'exec', namespace, 'ping', '-i', '0.01', '-q', address]);
    this.#child.stdout?.on('data', (d: Buffer) => (this.#out += d.toString()));
  }

  async stop(): Promise<{ sent: number; lost: number }> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGINT');
    await ended;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(this.#out) ?? [];
    return { sent: Number(sent), lost: Number(sent) - Number(received) };
  }
}
