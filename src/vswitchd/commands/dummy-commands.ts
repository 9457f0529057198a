import { isIP } from 'node:net';
import { composePacket } from '../../flow/compose.ts';
import { dummyNetdevs } from '../../netdev/providers/dummy.ts';
import { parseOdpKeyText } from '../../odp/key-parse.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import type { Daemon } from '../daemon.ts';

const etherHeaderBytes = 14;

/** netdev-dummy/*: packets, links and connections of dummy devices (with --enable-dummy). */
export function registerDummyCommands(commands: UnixctlCommands, daemon: Daemon): void {
  const netdevOf = (name: string, unknown: string) => {
    const netdev = dummyNetdevs().get(name);
    if (netdev === undefined) throw new OvsError('ENODEV', unknown);
    return netdev;
  };
  const unknownDevice = 'Unknown Dummy Interface';

  commands.registerCommand(
    'netdev-dummy/receive',
    'name [--qid queue_id] packet|flow [--len packet_len]',
    2,
    Infinity,
    ([name = '', ...words]) => {
      const netdev = netdevOf(name, 'no such dummy netdev');
      const frames: Uint8Array[] = [];
      let rxQueue = 0;
      for (let i = 0; i < words.length; i++) {
        const word = words[i] ?? '';
        if (word === '--qid') {
          // Like OVS, words that are no number mean 0.
          rxQueue = Number.parseInt(words[++i] ?? '', 10) || 0;
          if (rxQueue < 0 || rxQueue >= netdev.rxQueues) throw new UsageError('bad rx queue id.');
          continue;
        }
        let length = 0;
        if (words[i + 1] === '--len') {
          length = Number.parseInt(words[i + 2] ?? '', 10);
          if (!(length >= etherHeaderBytes)) throw new UsageError('too small packet len');
          frames.push(frameOf(word, length));
          i += 2;
        } else frames.push(frameOf(word, 0));
      }
      for (const frame of frames) netdev.receive(frame, rxQueue);
      daemon.wake();
      return '';
    },
  );
  commands.registerCommand('netdev-dummy/set-admin-state', '[netdev] up|down', 1, 2, (args) => {
    const word = args.at(-1)?.toLowerCase();
    if (word !== 'up' && word !== 'down') throw new UsageError('Invalid Admin State');
    const targets = args.length > 1 ? [netdevOf(args[0] ?? '', unknownDevice)] : [...dummyNetdevs().values()];
    for (const netdev of targets) netdev.setAdminUp(word === 'up');
    daemon.wake();
    return 'OK';
  });
  commands.registerCommand('netdev-dummy/conn-state', '[netdev]', 0, 1, ([name]) => {
    if (name !== undefined) return `${name}: ${dummyNetdevs().get(name)?.connectionState ?? 'unknown'}\n`;
    return [...dummyNetdevs().values()]
      .filter((n) => n.connectionState !== 'unknown')
      .map((n) => `${n.name}: ${n.connectionState}\n`)
      .join('');
  });
  commands.registerCommand(
    'netdev-dummy/ip4addr',
    '[netdev] ipaddr/mask-prefix-len',
    2,
    2,
    ([name = '', text = '']) => {
      const netdev = netdevOf(name, unknownDevice);
      const [address = '', prefix = ''] = text.split('/');
      if (isIP(address) !== 4 || !/^\d+$/.test(prefix) || Number(prefix) > 32)
        throw new UsageError(`${text}: invalid IP address`);
      netdev.setIp4(Uint8Array.from(address.split('.'), Number));
      return 'OK';
    },
  );
  commands.registerCommand('netdev-dummy/ip6addr', '[netdev] ip6addr', 2, 2, ([name = '', text = '']) => {
    netdevOf(name, unknownDevice);
    const [address = '', prefix = '128'] = text.split('/');
    // Only routing over tunnels would look at it, which is not there yet.
    if (isIP(address) !== 6 || !/^\d+$/.test(prefix) || Number(prefix) > 128)
      throw new UsageError(`${text}: invalid IPv6 address`);
    return 'OK';
  });
}

/** Hex digits, else a flow in datapath syntax of which a packet is made, as OVS tries them. */
function frameOf(word: string, length: number): Uint8Array {
  const hex = word.replace(/[\s.]/g, '');
  if (/^([0-9a-f]{2})+$/i.test(hex) && hex.length >= 28) {
    return Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));
  }
  const { flow } = parseOdpKeyText(word);
  if (length === 0) return composePacket(flow);
  const bare = composePacket(flow, { payload: new Uint8Array(0) });
  if (length <= bare.length) return bare;
  const frame = new Uint8Array(length);
  // What has no payload of its own is padded.
  frame.set(composePacket(flow, { payload: new Uint8Array(length - bare.length) }));
  return frame;
}
