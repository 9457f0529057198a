import type { Netdev, PortAttachment } from '../netdev/provider.ts';

/**
 * A datapath as main sees it: a set of numbered ports and the threads that forward between them.
 *
 *   | step     | call                        | may fail                                     |
 *   |----------|-----------------------------|----------------------------------------------|
 *   | open     | provider constructor        | yes                                          |
 *   | add port | addPort(netdev, requested?) | yes: the message becomes Interface.error     |
 *   | ...      | flows through upcalls and revalidators, not through this interface            |
 *   | del port | delPort(odpPort)            | no                                           |
 *   | close    | close()                     | no                                           |
 *
 * Main thread only; the asynchronous calls resolve when every thread has taken the change.
 */
export interface Datapath {
  /** 'netdev', 'dummy' or 'system'. */
  readonly type: string;
  /** 'ovs-netdev', 'ovs-dummy' or 'ovs-system'. */
  readonly name: string;
  ports(): readonly DatapathPort[];
  port(odpPort: number): DatapathPort | undefined;
  portByName(name: string): DatapathPort | undefined;
  /** @throws SystemError when no number is free or the device cannot be attached. */
  addPort(netdev: Netdev, requested?: number): Promise<DatapathPort>;
  delPort(odpPort: number): Promise<void>;
  /**
   * Takes the port from all threads, has the device apply its options (`Netdev.reconfigure`), and gives it
   * back under the same number.
   *
   * @returns the port as it is now.
   * @throws what `reconfigure` or attaching throws; the port is deleted then.
   */
  reconfigurePort(odpPort: number): Promise<DatapathPort>;
  /**
   * Interface.other_config as far as datapaths look at it (pmd-rxq-affinity).
   *
   * @throws SystemError EINVAL "Invalid argument": nothing changes then.
   */
  setPortConfig(odpPort: number, otherConfig: ReadonlyMap<string, string>): void;
  close(): Promise<void>;
}

export interface DatapathPort {
  readonly odpPort: number;
  readonly netdev: Netdev;
  readonly attachment: PortAttachment;
}

/** The threads that move a datapath's packets; the daemon provides them. */
export interface PortThreads {
  /**
   * Gives each receive queue to one thread to poll, and the port to all to send to.
   *
   * @param affinity As setAffinity takes it.
   */
  attach(attachment: PortAttachment, affinity?: string): Promise<void>;
  /** Resolves once no thread uses the port any more. */
  detach(odpPort: number): Promise<void>;
  /** other_config:pmd-rxq-affinity, '' = none. @throws SystemError EINVAL */
  setAffinity(odpPort: number, text: string): void;
}
