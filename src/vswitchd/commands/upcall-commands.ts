import type { UnixctlCommands } from '../../stream/unixctl.ts';
import { OvsError } from '../../util/errors.ts';
import type { Daemon } from '../daemon.ts';

/** upcall/* and revalidator/*. */
export function registerUpcallCommands(commands: UnixctlCommands, daemon: Daemon): void {
  const { switchd } = daemon;
  const { udpif } = switchd;
  /** Waits for what other threads do: a turn of the event loop and then a short real pause. */
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition() && switchd.revalidators.counts.revalidators > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };

  commands.registerCommand('upcall/show', '', 0, 0, () => {
    const texts = [...switchd.datapaths.values()].map((d) =>
      udpif.show(`${d.type}@${d.name}`, switchd.revalidators.revalidatorIds),
    );
    return texts.join('\n');
  });
  const toggle = (name: string, reply: string, apply: () => void): void =>
    commands.registerCommand(name, '', 0, 0, () => {
      apply();
      udpif.revalidate();
      return `${reply}\n`;
    });
  toggle('upcall/disable-megaflows', 'megaflows disabled', () => (udpif.megaflowsEnabled = false));
  toggle('upcall/enable-megaflows', 'megaflows enabled', () => (udpif.megaflowsEnabled = true));
  toggle(
    'upcall/disable-ufid',
    'Datapath dumping tersely using UFID disabled',
    () => (udpif.ufidEnabled = false),
  );
  toggle(
    'upcall/enable-ufid',
    'Datapath dumping tersely using UFID enabled for supported datapaths',
    () => (udpif.ufidEnabled = true),
  );
  commands.registerCommand('upcall/set-flow-limit', 'flow-limit-number', 1, 1, ([text = '']) => {
    const limit = Number.parseInt(text, 10);
    udpif.setFlowLimit(Number.isNaN(limit) ? 0 : limit);
    return `set flow_limit to ${Number.isNaN(limit) ? 0 : limit}\n`;
  });

  commands.registerCommand('revalidator/wait', '', 0, 0, async () => {
    const target = udpif.waitTarget();
    await until(() => ((udpif.roundSeq - target) | 0) >= 0);
    return '';
  });
  commands.registerCommand('revalidator/purge', '', 0, 0, async () => {
    await switchd.purgeFlows();
    return '';
  });
  commands.registerCommand('revalidator/pause', '', 0, 0, async () => {
    udpif.pause();
    await until(() => udpif.paused);
    return '';
  });
  commands.registerCommand('revalidator/resume', '', 0, 0, () => {
    if (!udpif.paused) throw new OvsError('EINVAL', 'revalidators are not paused');
    udpif.resume();
    return '';
  });
}
