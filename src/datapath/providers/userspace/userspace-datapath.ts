import type { Netdev } from '../../../netdev/provider.ts';
import { BugError, SystemError } from '../../../util/errors.ts';
import { vlog } from '../../../util/log.ts';
import type { Datapath, DatapathPort, PortThreads } from '../../provider.ts';

const log = vlog('dpif_netdev');

/** As OVS: port numbers of a userspace datapath are 1..65535, 0 is the datapath's own port. */
const maxOdpPort = 0xffff;

/**
 * The userspace datapath's port table (OVS's dpif-netdev).
 *
 * The flows live with the PMD threads (src/datapath/packet-path.ts); this class owns the numbers and
 * the order of attaching and detaching. OVS gives port 0 to a tap named like the datapath; nothing
 * ever uses that device, so here the number is only kept free.
 */
export class UserspaceDatapath implements Datapath {
  readonly type: 'netdev' | 'dummy';
  readonly name: string;
  readonly #threads: PortThreads;
  readonly #ports = new Map<number, DatapathPort>();
  /** pmd-rxq-affinity in force, kept when a port is reconfigured. */
  readonly #affinity = new Map<number, string>();
  readonly #others: readonly UserspaceDatapath[];

  /**
   * @param others Datapaths with the same threads: their port numbers are not used here, since packets
   *   carry nothing but the number.
   */
  constructor(type: 'netdev' | 'dummy', threads: PortThreads, others: readonly UserspaceDatapath[]) {
    this.#others = others;
    this.type = type;
    this.name = type === 'netdev' ? 'ovs-netdev' : 'ovs-dummy';
    this.#threads = threads;
  }

  ports(): readonly DatapathPort[] {
    return [...this.#ports.values()].sort((a, b) => a.odpPort - b.odpPort);
  }

  port(odpPort: number): DatapathPort | undefined {
    return this.#ports.get(odpPort);
  }

  portByName(name: string): DatapathPort | undefined {
    for (const p of this.#ports.values()) if (p.netdev.name === name) return p;
    return undefined;
  }

  async addPort(netdev: Netdev, requested?: number): Promise<DatapathPort> {
    const odpPort = this.#chooseNumber(netdev.name, requested);
    const attachment = netdev.attach(odpPort);
    const port: DatapathPort = { odpPort, netdev, attachment };
    this.#ports.set(odpPort, port);
    try {
      await this.#threads.attach(attachment);
    } catch (error) {
      this.#ports.delete(odpPort);
      throw error;
    }
    return port;
  }

  async delPort(odpPort: number): Promise<void> {
    this.#affinity.delete(odpPort);
    if (this.#ports.delete(odpPort)) await this.#threads.detach(odpPort);
  }

  async reconfigurePort(odpPort: number): Promise<DatapathPort> {
    const port = this.#ports.get(odpPort);
    if (port === undefined) throw new BugError(`no port ${odpPort}`);
    await this.#threads.detach(odpPort);
    try {
      port.netdev.reconfigure?.();
      const attachment = port.netdev.attach(odpPort);
      const renewed: DatapathPort = { ...port, attachment };
      await this.#threads.attach(attachment, this.#affinity.get(odpPort));
      this.#ports.set(odpPort, renewed);
      return renewed;
    } catch (error) {
      this.#ports.delete(odpPort);
      throw error;
    }
  }

  setPortConfig(odpPort: number, otherConfig: ReadonlyMap<string, string>): void {
    const affinity = otherConfig.get('pmd-rxq-affinity') ?? '';
    this.#threads.setAffinity(odpPort, affinity);
    this.#affinity.set(odpPort, affinity);
  }

  async close(): Promise<void> {
    for (const odpPort of [...this.#ports.keys()]) await this.delPort(odpPort);
  }

  #isFree(odpPort: number): boolean {
    return !this.#ports.has(odpPort) && !this.#others.some((d) => d.port(odpPort) !== undefined);
  }

  /**
   * OVS's rule: as requested; else on dummy datapaths from the digits of the name ("p7" is 7, "br0"
   * is 100), so that tests can tell numbers beforehand; else the lowest free one.
   */
  #chooseNumber(name: string, requested: number | undefined): number {
    if (requested !== undefined && requested > 0 && this.#isFree(requested)) return requested;
    if (this.type === 'dummy') {
      const digits = /[0-9]+/.exec(name)?.[0];
      if (digits !== undefined) {
        const odpPort = (name.startsWith('br') ? 100 : 0) + Number(digits);
        if (odpPort > 0 && odpPort < maxOdpPort && this.#isFree(odpPort)) return odpPort;
      }
    }
    for (let odpPort = 1; odpPort <= maxOdpPort; odpPort++) if (this.#isFree(odpPort)) return odpPort;
    log.warn(`${this.name}: no free port number for ${name}`);
    throw new SystemError('EFBIG', 27, 'port_add', 'File too large');
  }
}
