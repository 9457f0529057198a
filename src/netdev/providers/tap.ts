import type { Link, LinkStatistics } from '../../netlink/rtnetlink.ts';
import { systemError } from '../../sys/errno.ts';
import { errno, libc } from '../../sys/libc.ts';
import { OvsError, SystemError } from '../../util/errors.ts';
import { vlog } from '../../util/log.ts';
import { KernelNetdev, requireLink } from '../kernel-netdev.ts';
import type { Netdev, NetdevProvider, PortAttachment } from '../provider.ts';
import { DummyNetdev } from './dummy.ts';

const log = vlog('netdev_linux');
const O_RDWR_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const TUNSETIFF = 0x4004_54ca;
const TUNSETOFFLOAD = 0x4004_54d0;
const TUNSETPERSIST = 0x4004_54cb;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6; without USO on kernels before 6.2. */
const offloadsWithUso = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40;
const offloads = 0x01 | 0x02 | 0x04 | 0x08;
const ifnameMax = 15;
const ENAMETOOLONG = 36;

/** Makes the device (or joins a persistent one) and returns its descriptor. @throws SystemError */
function openTap(name: string): number {
  const context = `could not open network device ${name}`;
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > ifnameMax) throw systemError(ENAMETOOLONG, 'open', context);
  const fd = libc.open('/dev/net/tun', O_RDWR_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError(errno(), 'open', context);
  const request = new Uint8Array(40);
  request.set(bytes);
  new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  if (libc.ioctl(fd, TUNSETIFF, request) < 0) {
    const error = systemError(errno(), 'ioctl', context);
    libc.close(fd);
    throw error;
  }
  if (
    libc.ioctl(fd, TUNSETOFFLOAD, BigInt(offloadsWithUso)) < 0 &&
    libc.ioctl(fd, TUNSETOFFLOAD, BigInt(offloads)) < 0
  ) {
    log.warn(`${name}: tap without offloads (${systemError(errno(), 'ioctl').message})`);
  }
  return fd;
}

/**
 * A tap device that lives as long as the port. Its counters are swapped: what the device received
 * is what we sent to it.
 */
class TapNetdev extends KernelNetdev {
  readonly ownsLink = true;
  readonly #fd: number;

  constructor(name: string, type: string, link: Link, fd: number) {
    super(name, type, link);
    this.#fd = fd;
  }
  protected describe(stats: LinkStatistics, dropped: number, errors: number): Record<string, number> {
    return {
      collisions: stats.collisions,
      rx_bytes: stats.txBytes,
      rx_crc_err: 0,
      rx_dropped: stats.txDropped,
      rx_errors: stats.txErrors,
      rx_frame_err: 0,
      rx_missed_errors: 0,
      rx_multicast_packets: 0,
      rx_over_err: 0,
      rx_packets: stats.txPackets,
      tx_bytes: stats.rxBytes,
      tx_dropped: stats.rxDropped + dropped,
      tx_errors: stats.rxErrors + errors,
      tx_packets: stats.rxPackets,
    };
  }
  attach(odpPort: number): PortAttachment {
    return {
      kind: 'tap',
      name: this.name,
      odpPort,
      polledByMain: false,
      rxQueues: 1,
      fd: this.#fd,
      state: this.state,
    };
  }
  override close(): void {
    super.close();
    // A device left persistent by another program is ours now and goes too, as in OVS.
    libc.ioctl(this.#fd, TUNSETPERSIST, 0n);
    libc.close(this.#fd);
  }
}

function createTap(name: string, type: string): Netdev {
  const fd = openTap(name);
  try {
    return new TapNetdev(name, type, requireLink(name), fd);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

export const tapProvider: NetdevProvider = {
  type: 'tap',
  open: (name) => createTap(name, 'tap'),
};

let $saidStandIn = false;

/**
 * `internal` ports of a userspace datapath: a tap named like the port. Whoever may not make one gets
 * a dummy device, which counts and discards; the log says so once.
 */
export const internalProvider: NetdevProvider = {
  type: 'internal',
  open(name, options) {
    try {
      return createTap(name, 'internal');
    } catch (error) {
      const isDenied =
        error instanceof SystemError && ['EPERM', 'EACCES', 'ENOENT', 'ENXIO'].includes(error.code);
      if (!isDenied) throw error;
      if (!$saidStandIn) {
        log.warn(
          `${name}: ${error instanceof OvsError ? error.message : ''}: internal ports are stand-ins without a device`,
        );
        $saidStandIn = true;
      }
      const device = new DummyNetdev(name, 'internal', true);
      device.setOptions(options);
      return device;
    }
  },
};
