import { composePacket } from '../../flow/compose.ts';
import { dummyNetdevs } from '../../netdev/providers/dummy.ts';
import { parseOdpKeyText } from '../../odp/key-parse.ts';
import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError, UsageError } from '../../util/errors.ts';
import type { Daemon } from '../daemon.ts';

/** netdev-dummy/*: packets, links and connections of dummy devices (with --enable-dummy). */
export function registerDummyCommands(commands: UnixctlCommands, daemon: Daemon): void {
  const netdevOf = (name: string) => {
    const netdev = dummyNetdevs().get(name);
    if (netdev === undefined) throw new OvsError('ENODEV', 'no such dummy netdev');
    return netdev;
  };

  commands.registerCommand(
    'netdev-dummy/receive',
    'name [--qid queue_id] packet|flow [--len packet_len]',
    2,
    Infinity,
    ([name = '', ...words]) => {
      const netdev = netdevOf(name);
      const frames: Uint8Array[] = [];
      for (let i = 0; i < words.length; i++) {
        const word = words[i] ?? '';
        if (word === '--qid') {
          i++;
          continue;
        }
        let length = 0;
        if (words[i + 1] === '--len') {
          length = Number.parseInt(words[i + 2] ?? '', 10);
          if (!(length > 0)) throw new UsageError('error parsing packet length');
          frames.push(frameOf(word, length));
          i += 2;
        } else frames.push(frameOf(word, 0));
      }
      for (const frame of frames) netdev.receive(frame);
      daemon.wake();
      return '';
    },
  );
  commands.registerCommand('netdev-dummy/set-admin-state', '[netdev] up|down', 1, 2, (args) => {
    const word = args.at(-1)?.toLowerCase();
    if (word !== 'up' && word !== 'down') throw new UsageError('Invalid Admin State');
    const targets = args.length > 1 ? [netdevOf(args[0] ?? '')] : [...dummyNetdevs().values()];
    for (const netdev of targets) netdev.setAdminUp(word === 'up');
    daemon.wake();
    return 'OK';
  });
  commands.registerCommand('netdev-dummy/conn-state', '[netdev]', 0, 1, ([name]) => {
    if (name !== undefined) return netdevOf(name).connectionState;
    return [...dummyNetdevs().values()].map((n) => `${n.name}: ${n.connectionState}\n`).join('');
  });
}

/** Hex digits, else a flow in datapath syntax of which a packet is made, as OVS tries them. */
function frameOf(word: string, length: number): Uint8Array {
  const hex = word.replace(/[\s.]/g, '');
  if (/^([0-9a-f]{2})+$/i.test(hex) && hex.length >= 28) {
    return Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));
  }
  try {
    const { flow } = parseOdpKeyText(word);
    if (length === 0) return composePacket(flow);
    const bare = composePacket(flow, { payload: new Uint8Array(0) });
    return length <= bare.length ? bare : composePacket(flow, { payload: new Uint8Array(length - bare.length) });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`bad packet or flow syntax: ${error.message}`);
  }
}
