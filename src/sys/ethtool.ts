import { addressOf, libc } from './libc.ts';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSET = 1;
const ETHTOOL_GDRVINFO = 3;
const ifnameBytes = 16;
const unknownSpeed = 0xffff_ffff;

export interface DriverInfo {
  readonly driver: string;
  readonly version: string;
  readonly firmware: string;
}

export interface LinkSettings {
  /** 0 when unknown. */
  readonly speedMbps: number;
  readonly fullDuplex: boolean;
}

let $fd = -1;

/** One ethtool ioctl on a device; `data` is read and written. @returns False when the device cannot. */
function ethtool(name: string, data: Uint8Array): boolean {
  if ($fd < 0) $fd = libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  const request = new Uint8Array(40);
  new TextEncoder().encodeInto(name, request.subarray(0, ifnameBytes - 1));
  new DataView(request.buffer).setBigUint64(ifnameBytes, BigInt(addressOf(data)), true);
  return libc.ioctl($fd, SIOCETHTOOL, request) === 0;
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** What `ethtool -i` shows, or null. struct ethtool_drvinfo. */
export function driverInfo(name: string): DriverInfo | null {
  const data = new Uint8Array(196);
  data[0] = ETHTOOL_GDRVINFO;
  if (!ethtool(name, data)) return null;
  return {
    driver: text(data.subarray(4, 36)),
    version: text(data.subarray(36, 68)),
    firmware: text(data.subarray(68, 100)),
  };
}

/** Speed and duplex, or null when the device has none. struct ethtool_cmd. */
export function linkSettings(name: string): LinkSettings | null {
  const data = new Uint8Array(44);
  data[0] = ETHTOOL_GSET;
  if (!ethtool(name, data)) return null;
  const view = new DataView(data.buffer);
  const speed = (view.getUint16(12, true) | (view.getUint16(28, true) << 16)) >>> 0;
  return {
    speedMbps: speed === unknownSpeed || speed === 0xffff ? 0 : speed,
    fullDuplex: view.getUint8(14) === 1,
  };
}
