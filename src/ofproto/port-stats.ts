import type { OfPortStats } from './ofproto-types.ts';

/** OpenFlow port counters from Interface.statistics; what a device does not count stays unknown. */
export function portStatsFrom(statistics: Readonly<Record<string, number>>): OfPortStats {
  const count = (key: string): bigint | undefined => {
    const value = statistics[key];
    return value === undefined ? undefined : BigInt(Math.round(value));
  };
  return {
    rxPackets: count('rx_packets'),
    txPackets: count('tx_packets'),
    rxBytes: count('rx_bytes'),
    txBytes: count('tx_bytes'),
    rxDropped: count('rx_dropped'),
    txDropped: count('tx_dropped'),
    rxErrors: count('rx_errors'),
    txErrors: count('tx_errors'),
    rxFrameErr: count('rx_frame_err'),
    rxOverErr: count('rx_over_err'),
    rxCrcErr: count('rx_crc_err'),
    collisions: count('collisions'),
  };
}
