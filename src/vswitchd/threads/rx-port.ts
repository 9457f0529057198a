import type { Core } from '../../arena/core.ts';
import { allocOrThrow } from '../../arena/core.ts';
import { RxqLayout, rxqBusyNs } from '../../datapath/generated/rxq.ts';
import type { PortAttachment } from '../../netdev/provider.ts';
import { SystemError } from '../../util/errors.ts';
import { LoadHistory } from './load-history.ts';

const EINVAL = 22;

/** A receive queue and how busy it kept its pollers. Main. */
export class RxQueue {
  readonly port: RxPort;
  readonly rxQueue: number;
  /** Arena address of the `rxq` record that its poller counts in. */
  readonly record: number;
  /** Nanoseconds of processing. */
  readonly history = new LoadHistory();
  /** Core whose PMD polls it, null = none. */
  coreId: number | null = null;

  constructor(port: RxPort, rxQueue: number, record: number) {
    this.port = port;
    this.rxQueue = rxQueue;
    this.record = record;
  }
}

/** A port of the datapath as the pool of PMDs sees it. Main. */
export class RxPort {
  readonly attachment: PortAttachment;
  readonly queues: readonly RxQueue[];
  /** Core of each pinned queue (other_config:pmd-rxq-affinity). */
  affinity: ReadonlyMap<number, number> = new Map();
  readonly #core: Core;

  /** @throws ArenaFullError */
  constructor(core: Core, attachment: PortAttachment) {
    this.#core = core;
    this.attachment = attachment;
    const records = allocOrThrow(core, RxqLayout.size * attachment.rxQueues);
    this.queues = Array.from(
      { length: attachment.rxQueues },
      (_, i) => new RxQueue(this, i, records + i * RxqLayout.size),
    );
  }

  get odpPort(): number {
    return this.attachment.odpPort;
  }

  /** Ends an interval of load. */
  fold(): void {
    for (const queue of this.queues) queue.history.fold(rxqBusyNs(this.#core.dv, queue.record));
  }

  /** Once no thread polls it any more. */
  free(): void {
    const [first] = this.queues;
    if (first !== undefined) this.#core.x.free(first.record);
  }
}

/**
 * other_config:pmd-rxq-affinity: "0:3,1:7", queue:core.
 *
 * @throws SystemError EINVAL: nothing changes then.
 */
export function parseRxqAffinity(text: string): Map<number, number> {
  const affinity = new Map<number, number>();
  for (const word of text.split(/[,\s]+/)) {
    if (word === '') continue;
    const match = /^(\d+)[:=](\d+)$/.exec(word);
    if (match === null) throw new SystemError('EINVAL', EINVAL, 'port_set_config', 'Invalid argument');
    affinity.set(Number(match[1]), Number(match[2]));
  }
  return affinity;
}
