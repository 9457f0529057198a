import type { PacketInReason } from '../../openflow/actions.ts';
import type { AsyncConfig } from '../../openflow/messages.ts';

/**
 * Which asynchronous messages a connection gets: a bit per reason, for masters (and equals) and
 * for slaves. A new connection starts with OpenFlow's defaults for its version; a controller
 * changes them with OFPT_SET_ASYNC or NXT_SET_ASYNC_CONFIG.
 */
export type AsyncKind = 'packetIn' | 'portStatus' | 'flowRemoved';
/** [slave, master or equal]. */
export type AsyncMasks = Readonly<Record<AsyncKind, readonly [number, number]>>;

export const packetInReasonNumbers: Record<PacketInReason, number> = {
  no_match: 0,
  action: 1,
  invalid_ttl: 2,
  action_set: 3,
  group: 4,
  packet_out: 5,
  explicit_miss: 6,
  implicit_miss: 7,
};
export const portReasonNumbers = { add: 0, delete: 1, modify: 2 } as const;
export const flowRemovedReasonNumbers = {
  idle: 0,
  hard: 1,
  delete: 2,
  group_delete: 3,
  meter_delete: 4,
  eviction: 5,
} as const;

const allPortReasons = 0b111;
const packetInDefault = 0xff & ~(1 << packetInReasonNumbers.invalid_ttl);

/** OVS's defaults: slaves get only port status, nobody gets invalid-TTL packets unasked. */
export function defaultAsyncMasks(version: number): AsyncMasks {
  return {
    packetIn: [0, packetInDefault],
    portStatus: [allPortReasons, allPortReasons],
    flowRemoved: [0, version >= 5 ? 0x3f : 0x0f],
  };
}

export const noAsyncMasks: AsyncMasks = { packetIn: [0, 0], portStatus: [0, 0], flowRemoved: [0, 0] };

/**
 * Masks after a set-async message. A bit for the `action` or `no_match` reason also governs the reasons
 * that later versions split off them.
 */
export function asyncMasksFrom(message: AsyncConfig): AsyncMasks {
  const spread = (mask: number): number => {
    let all = mask;
    if (mask & 1)
      all |= (1 << packetInReasonNumbers.explicit_miss) | (1 << packetInReasonNumbers.implicit_miss);
    if (mask & 2) {
      all |=
        (1 << packetInReasonNumbers.action_set) |
        (1 << packetInReasonNumbers.group) |
        (1 << packetInReasonNumbers.packet_out);
    }
    return all;
  };
  return {
    packetIn: [spread(message.packetIn[0]), spread(message.packetIn[1])],
    portStatus: message.portStatus,
    flowRemoved: message.flowRemoved,
  };
}

/** Turns the invalid-TTL reason of masters and equals on or off (OFPC_INVALID_TTL_TO_CONTROLLER). */
export function withInvalidTtl(masks: AsyncMasks, on: boolean): AsyncMasks {
  const bit = 1 << packetInReasonNumbers.invalid_ttl;
  const [slave, master] = masks.packetIn;
  return { ...masks, packetIn: [slave, on ? master | bit : master & ~bit] };
}
