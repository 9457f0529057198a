import { deleteLinks } from '../netlink/rtnetlink.ts';
import { systemError } from '../sys/errno.ts';
import { BugError, OvsError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import { SystemRandom } from '../util/random.ts';
import { netdevEnvironment } from './environment.ts';
import type { Netdev, NetdevProvider, OpenPortIo } from './provider.ts';
import { afxdpProvider } from './providers/afxdp.ts';
import { dummyProvider } from './providers/dummy.ts';
import { labProvider } from './providers/lab.ts';
import { memoryProviders, openMemoryPortIo } from './providers/memory.ts';
import { patchProvider } from './providers/patch.ts';
import { systemProvider } from './providers/system.ts';
import { internalProvider, tapProvider } from './providers/tap.ts';
import { openPacketPortIo, openTapPortIo } from './packet-io.ts';
import { openRingPortIo } from './ring-port.ts';
import { openXskPortIo } from './xsk-io.ts';

/**
 * Which provider opens which Interface.type, and which code a thread runs for an attachment.
 *
 * `setNetdevEnvironment` must have been called (main). `--enable-dummy=override` puts dummies under
 * every type, `=system` under system and internal ones, as in OVS.
 */
const log = vlog('netdev');
const EAFNOSUPPORT = 97;
const random = new SystemRandom();

function randomMac(): Uint8Array {
  const [high, low] = [random.u32(), random.u32()];
  // Locally administered, unicast.
  return Uint8Array.of(((high >>> 24) & 0xfc) | 2, high >>> 16, high >>> 8, high, low >>> 8, low);
}

const kernelProviders = new Map<string, NetdevProvider>(
  [systemProvider, afxdpProvider, tapProvider, internalProvider].map((p) => [p.type, p] as const),
);
const softProviders = new Map<string, NetdevProvider>(
  [labProvider(randomMac), patchProvider(randomMac), ...memoryProviders(randomMac)].map(
    (p) => [p.type, p] as const,
  ),
);
const dummyTypes: readonly string[] = ['dummy', 'dummy-internal', 'dummy-pmd'];

/** The provider in force for a type ('' is 'system'), or undefined. */
function findProvider(type: string): NetdevProvider | undefined {
  const { dummy } = netdevEnvironment();
  const kernel = kernelProviders.get(type);
  if (dummy !== null) {
    if (dummyTypes.includes(type)) return dummyProvider(type);
    if (dummy === 'override' && (kernel !== undefined || type === 'system')) return dummyProvider(type);
    if (dummy === 'system' && type === 'system') return dummyProvider(type);
  }
  return kernel ?? softProviders.get(type);
}

/** Types that `openNetdev` knows now, for Open_vSwitch.iface_types. */
export function netdevTypes(): string[] {
  const all = [...kernelProviders.keys(), ...softProviders.keys(), ...dummyTypes];
  return all.filter((type) => findProvider(type) !== undefined).sort();
}

/**
 * Opens a device for a port.
 *
 * @param type Interface.type; '' means 'system'.
 * @throws OvsError whose message is OVS's Interface.error.
 */
export function openNetdev(type: string, name: string, options: ReadonlyMap<string, string>): Netdev {
  const wanted = type === '' ? 'system' : type;
  const provider = findProvider(wanted);
  if (provider === undefined) {
    log.warn(`could not create netdev ${name} of unknown type ${wanted}`);
    throw systemError(EAFNOSUPPORT, 'open', `could not open network device ${name}`);
  }
  try {
    return provider.open(name, options);
  } catch (error) {
    if (error instanceof OvsError && !(error instanceof BugError)) {
      log.dbg(`${name}: ${error.message}`);
    }
    throw error;
  }
}

/** Closes devices; those of the kernel that go with their ports are removed together. */
export function closeNetdevs(netdevs: readonly Netdev[]): void {
  const owned = netdevs.filter((n) => n.ownsLink === true && n.present).map((n) => n.ifindex);
  if (owned.length > 1) {
    try {
      deleteLinks(owned, 1 + (random.u32() >>> 1));
    } catch (error) {
      log.dbg(
        `could not remove devices together (${error instanceof Error ? error.message : String(error)})`,
      );
    }
  }
  for (const netdev of netdevs) netdev.close();
}

const portKinds = new Map<string, OpenPortIo>([
  ['ring', openRingPortIo],
  ['packet', openPacketPortIo],
  ['tap', openTapPortIo],
  ['memory', openMemoryPortIo],
  ['xsk', openXskPortIo],
]);

/** Opens the calling thread's side of an attached port, or of one receive queue of it. */
export const openPortIo: OpenPortIo = (attachment, core, rxQueue) => {
  const open = portKinds.get(attachment.kind);
  if (open === undefined) throw new BugError(`no port kind ${attachment.kind}`);
  return open(attachment, core, rxQueue);
};
