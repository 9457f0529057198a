import { execFileSync } from 'node:child_process';
import { getuid } from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createArena } from '../../arena/core.ts';
import type { Core } from '../../arena/core.ts';
import { deleteLink, getLink } from '../../netlink/rtnetlink.ts';
import { loadCoreModule } from '../../sys/core-module.ts';
import { libc } from '../../sys/libc.ts';
import { ManualClock } from '../../util/clock.ts';
import { OvsError } from '../../util/errors.ts';
import { setNetdevEnvironment } from '../environment.ts';
import { runLinkEvents } from '../kernel-link.ts';
import { packetData, packetLength } from '../generated/packet.ts';
import type { Netdev } from '../provider.ts';
import { closeNetdevs, openNetdev, openPortIo } from '../registry.ts';
import { testNetdevProvider } from '../testing/contract.ts';
import type { DeviceUnderTest } from '../testing/contract.ts';
import { openRawSocket } from '../packet-socket.ts';
import { xskUmems } from '../xsk-socket.ts';

const prefix = `nd${process.pid % 100_000}`;
const ip = (...args: string[]): string => execFileSync('ip', args, { stdio: 'pipe' }).toString();

function reason(): string | null {
  if (getuid?.() !== 0) return 'needs root';
  try {
    ip('link', 'add', `${prefix}x`, 'type', 'veth', 'peer', 'name', `${prefix}y`);
    ip('link', 'del', `${prefix}x`);
    return null;
  } catch {
    return 'needs the ip tool and veth devices';
  }
}
const unavailable = reason();

/**
 * The far end of a cable or of a tap. Frames go in by a plain raw socket, and come out by a system
 * port, which puts VLAN tags back that the kernel takes off.
 */
function farEnd(core: Core, name: string): Pick<DeviceUnderTest, 'inject' | 'collect' | 'close'> {
  const netdev = openNetdev('system', name, new Map());
  const fd = openRawSocket(netdev.ifindex);
  const io = openPortIo(netdev.attach(1), core, 0);
  const batch = core.x.alloc(4 * 32) >>> 0;
  return {
    inject: (frame) => {
      libc.write(fd, frame, frame.length);
    },
    collect: () => {
      const n = io.receive(batch);
      return Array.from({ length: n }, (_, i) => {
        const packet = core.u32[batch / 4 + i] ?? 0;
        const data = packetData(core.dv, packet);
        return core.u8.slice(data, data + packetLength(core.dv, packet));
      });
    },
    close: () => {
      libc.close(fd);
      io.close();
      netdev.close();
    },
  };
}

testNetdevProvider({
  name: 'system (veth)',
  unavailable,
  create: (core) => {
    const [near, far] = [`${prefix}a`, `${prefix}b`];
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    for (const name of [near, far]) ip('link', 'set', name, 'addrgenmode', 'none', 'up');
    ip('link', 'set', far, 'mtu', '3000');
    const netdev = openNetdev('', near, new Map());
    const end = farEnd(core, far);
    return {
      netdev,
      inject: (frame) => {
        end.inject(frame);
      },
      collect: () => end.collect(),
      close: () => {
        end.close();
        netdev.close();
        ip('link', 'del', near);
      },
    };
  },
});

for (const mode of ['native', 'generic']) {
  testNetdevProvider({
    name: `afxdp (veth, ${mode})`,
    unavailable,
    create: (core) => {
      const [near, far] = [`${prefix}m`, `${prefix}n`];
      ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
      for (const name of [near, far]) ip('link', 'set', name, 'addrgenmode', 'none', 'up');
      ip('link', 'set', far, 'mtu', '3000');
      const netdev = openNetdev('afxdp', near, new Map([['xdp-mode', mode]]));
      const end = farEnd(core, far);
      return {
        netdev,
        inject: (frame) => {
          end.inject(frame);
        },
        collect: () => end.collect(),
        close: () => {
          end.close();
          expect(xskUmems().map((umem) => core.x.umemLost(umem))).toEqual([0]);
          netdev.close();
          expect(xskUmems()).toEqual([]);
          ip('link', 'del', near);
        },
      };
    },
  });
}

testNetdevProvider({
  name: 'tap',
  unavailable,
  create: (core) => {
    const name = `${prefix}t`;
    const netdev = openNetdev('tap', name, new Map());
    ip('link', 'set', name, 'addrgenmode', 'none', 'up');
    runLinkEvents();
    const end = farEnd(core, name);
    return {
      netdev,
      inject: (frame) => {
        end.inject(frame);
      },
      collect: () => end.collect(),
      close: () => {
        end.close();
        netdev.close();
      },
    };
  },
});

const suite = unavailable === null ? describe : describe.skip;
suite(`kernel devices${unavailable === null ? '' : ` (${unavailable})`}`, () => {
  const opened: Netdev[] = [];
  beforeAll(() => {
    const core = createArena({
      module: loadCoreModule(),
      sizeMb: 32,
      shared: true,
      seed: 1,
      threadName: 'main',
    });
    setNetdevEnvironment({
      core,
      clock: new ManualClock(),
      dummy: null,
      systemEnabled: true,
      wakeMain: () => undefined,
    });
  });
  afterAll(() => {
    for (const netdev of opened) netdev.close();
  });
  it('says what is wrong as OVS does', () => {
    const message = (type: string, name: string): string => {
      try {
        openNetdev(type, name, new Map());
        return '';
      } catch (error) {
        return error instanceof OvsError ? error.message : String(error);
      }
    };
    expect(message('', 'nosuchdev')).toBe('could not open network device nosuchdev (No such device)');
    expect(message('foo', 'p5')).toBe(
      'could not open network device p5 (Address family not supported by protocol)',
    );
    expect(message('patch', 'p3')).toBe("p3: patch type requires valid 'peer' argument");
  });
  it('refuses loopback devices when they are attached', () => {
    const netdev = openNetdev('system', 'lo', new Map());
    expect(() => netdev.attach(1)).toThrow(/^Invalid argument$/);
    netdev.close();
  });
  it('notices that its device goes', () => {
    const [near, far] = [`${prefix}g`, `${prefix}h`];
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    const netdev = openNetdev('system', near, new Map());
    opened.push(netdev);
    expect(netdev.present).toBe(true);
    expect(netdev.status()['driver_name']).toBe('veth');
    const seq = netdev.changeSeq;
    deleteLink(netdev.ifindex);
    runLinkEvents();
    expect(netdev.present).toBe(false);
    expect(netdev.changeSeq).toBeGreaterThan(seq);
    expect(netdev.statistics()).toEqual({});
  });
  it('sees link state from outside', async () => {
    const [near, far] = [`${prefix}i`, `${prefix}j`];
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    const netdev = openNetdev('system', near, new Map());
    expect(netdev.adminUp).toBe(false);
    ip('link', 'set', near, 'up');
    runLinkEvents();
    expect([netdev.adminUp, netdev.carrier]).toEqual([true, false]);
    ip('link', 'set', far, 'up');
    // The kernel tells of carriers on its own time.
    while (!netdev.carrier) {
      await new Promise((resolve) => setImmediate(resolve));
      runLinkEvents();
    }
    expect(netdev.carrierResets).toBe(1);
    netdev.close();
    ip('link', 'del', near);
  });
  it('makes a tap that goes with the port', () => {
    const name = `${prefix}k`;
    const netdev = openNetdev('internal', name, new Map());
    expect(getLink(name)?.kind).toBe('tun');
    netdev.close();
    expect(getLink(name)).toBeNull();
  });
  it('removes many taps together, gone ones among them, and nothing else', () => {
    const names = Array.from({ length: 5 }, (_, i) => `${prefix}m${i}`);
    const [near, far] = [`${prefix}n`, `${prefix}o`];
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far);
    const system = openNetdev('system', near, new Map());
    const taps = names.map((name) => openNetdev('internal', name, new Map()));
    deleteLink(taps[2]?.ifindex ?? 0);
    closeNetdevs([...taps, system]);
    expect(names.map((name) => getLink(name))).toEqual(names.map(() => null));
    expect(getLink(near)?.name).toBe(near);
    ip('link', 'del', near);
  });
});
