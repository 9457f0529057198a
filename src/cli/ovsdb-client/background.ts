/** Commands that go on until the server has gone, perhaps in the background and told what to do by ovs-appctl. */
import type { UnixctlCommands } from '../../stream/index.ts';
import { daemonizeComplete } from '../../sys/daemon.ts';
import { absFileName, ovsRundir } from '../../sys/dirs.ts';
import { unlinkAtExit } from '../../sys/exit-hooks.ts';
import { OvsError } from '../../util/errors.ts';
import { OVS_VERSION } from '../../util/version.ts';
import type { Run } from './command.ts';

/**
 * Detaches if asked to, then waits for `exit`, or for the end of the connection.
 *
 * @throws OvsError when the connection is lost
 */
export async function inBackground(run: Run, register: (commands: UnixctlCommands) => void): Promise<void> {
  const { connection, daemon } = run;
  const control = daemon.detach ? await listen(register) : undefined;
  daemonizeComplete(daemon, [1]);
  const reason = await Promise.race([connection.lost, ...(control === undefined ? [] : [control.exit])]);
  if (reason !== null) throw new OvsError('EIO', `${connection.remote}: receive failed (${reason})`);
}

/** Opens the control socket. @returns `exit` resolves when it is asked for */
async function listen(register: (commands: UnixctlCommands) => void): Promise<{ exit: Promise<null> }> {
  const { UnixctlCommands, UnixctlServer } = await import('../../stream/unixctl.ts');
  const { registerDaemonCommands } = await import('../../stream/daemon-commands.ts');
  const commands = new UnixctlCommands(`ovsdb-client (Open vSwitch) ${OVS_VERSION}`);
  registerDaemonCommands(commands, () => ({}));
  let leave = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    leave = resolve;
  });
  commands.registerCommand('exit', '', 0, 0, () => {
    leave();
    return '';
  });
  register(commands);
  const server = new UnixctlServer(commands);
  const path = absFileName(ovsRundir(), `ovsdb-client.${process.pid}.ctl`);
  await server.listen(path);
  unlinkAtExit(path);
  const exit = asked.then(async () => {
    await server.drain();
    await server.close();
    return null;
  });
  return { exit };
}
