import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LabNetwork, type LabPort } from '../../lab/lab-network.ts';
import { labPort } from '../../netdev/providers/lab.ts';
import { Idl } from '../../ovsdb/client/index.ts';
import { startOvsdbServer } from '../../ovsdb/server/embed.ts';
import { dirsNote, ovsDirs } from '../../sys/dirs.ts';
import { packageRoot } from '../../sys/package-root.ts';
import { makePidfile } from '../../sys/pidfile.ts';
import { installExitHooks } from '../../sys/exit-hooks.ts';
import { isIgnoredAtStart } from '../../sys/ignored-signals.ts';
import { initVlog, vlogSet, vlogSetLogFile } from '../../sys/vlog-sink.ts';
import { OvsError } from '../../util/errors.ts';
import { OvsdbStore } from '../config/ovsdb-store.ts';
import { Daemon } from '../daemon.ts';
import { LiveView } from './view.ts';

export interface UpOptions {
  /** Seconds until it stops by itself; Infinity = until a signal. */
  readonly forSec: number;
  readonly lab: boolean;
}

const program = 'ovs-vswitchd';
const bridgeName = 'br0';
const hostNames = ['h1', 'h2', 'h3'];
const viewEveryMs = 2000;
const labTickMs = 20;

/** `megaflow up`: database server, switch and lab in one process, in the foreground. */
export async function up(options: UpOptions): Promise<number> {
  const rundir = process.env['OVS_RUNDIR'];
  // One variable gives a second switch a place for everything of its own.
  const dirs = ovsDirs(
    rundir === undefined ? process.env : { OVS_LOGDIR: rundir, OVS_DBDIR: rundir, ...process.env },
  );
  for (const dir of [dirs.rundir, dirs.logdir, dirs.dbdir]) mkdirSync(dir, { recursive: true });
  initVlog(program);
  // The view owns the terminal; warnings go there too, the rest to the log file.
  vlogSet('console:warn');
  vlogSetLogFile(join(dirs.logdir, `${program}.log`));
  try {
    makePidfile(join(dirs.rundir, `${program}.pid`), false);
    makePidfile(join(dirs.rundir, 'ovsdb-server.pid'), false);
  } catch (error) {
    if (!(error instanceof OvsError)) throw error;
    process.stderr.write(
      `megaflow: ${error.message}\nmegaflow: is another switch running on ${dirs.rundir}? Set OVS_RUNDIR for a second one.\n`,
    );
    return 1;
  }
  installExitHooks();
  const note = dirsNote(dirs);
  if (note !== null) process.stdout.write(`${note}\n`);

  const remote = `unix:${join(dirs.rundir, 'db.sock')}`;
  const database = await startOvsdbServer({
    file: join(dirs.dbdir, 'conf.db'),
    remotes: [`p${remote}`],
    unixctlPath: join(dirs.rundir, `ovsdb-server.${process.pid}.ctl`),
  });
  const daemon = await Daemon.start({
    dummyNuma: null,
    program,
    rundir: dirs.rundir,
    dummy: 'off',
    systemEnabled: true,
    arenaMb: 1024,
    unixctlPath: null,
    openStore: (wake) => OvsdbStore.connect(remote, wake),
    seed: null,
  });
  await ensureRoot(remote, options.lab);
  const lab = options.lab ? await startLab(daemon) : null;
  const bin = `${packageRoot()}/bin/`;
  const env = dirs.isPrivate
    ? ''
    : process.env['OVS_RUNDIR'] === undefined
      ? ''
      : `OVS_RUNDIR=${dirs.rundir} `;
  const view = new LiveView(daemon.switchd, lab?.network ?? null, [
    '',
    'try in another shell:',
    `  ${env}${bin}ovs-appctl dpctl/dump-flows`,
    `  ${env}${bin}ovs-vsctl show`,
    ...(options.lab
      ? [`  ${env}${bin}ovs-ofctl add-flow ${bridgeName} priority=9,in_port=1,icmp,actions=drop`]
      : []),
  ]);
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      if (isIgnoredAtStart(signal)) continue;
      process.removeAllListeners(signal);
      process.on(signal, resolve);
    }
    if (Number.isFinite(options.forSec)) setTimeout(resolve, options.forSec * 1000);
    void daemon.exited.then(resolve);
  });
  const timer = setInterval(() => draw(view), viewEveryMs);
  await stopped;
  clearInterval(timer);
  lab?.stop();
  process.stdout.write(`\n${view.summary()}\n`);
  await daemon.exit();
  await daemon.exited;
  await database.close();
  return 0;
}

/** Makes the Open_vSwitch row if there is none, and the lab's bridge. */
async function ensureRoot(remote: string, lab: boolean): Promise<void> {
  const idl = new Idl({
    remote,
    database: 'Open_vSwitch',
    tables: { Open_vSwitch: 'all', Bridge: ['name'] },
  }).start();
  await idl.ready();
  const t = idl.transaction();
  const root = idl.rows('Open_vSwitch')[0]?.uuid ?? t.insert('Open_vSwitch');
  if (lab && !idl.rows('Bridge').some((b) => b.str('name') === bridgeName)) {
    const ports = [bridgeName, ...hostNames].map((name, i) => {
      const type = name === bridgeName ? 'internal' : 'lab';
      const iface = t.insert('Interface', { name, type, ...(i > 0 ? { ofport_request: i } : {}) });
      return t.insert('Port', { name, interfaces: [iface] });
    });
    const bridge = t.insert('Bridge', { name: bridgeName, datapath_type: 'netdev', ports });
    t.mutate('Open_vSwitch', root, 'bridges', 'insert', [bridge]);
  }
  t.increment('Open_vSwitch', root, 'next_cfg');
  await t.commit();
  idl.close();
}

async function startLab(daemon: Daemon): Promise<{ network: LabNetwork; stop: () => void }> {
  const find = (name: string) => labPort(name);
  while (hostNames.some((name) => find(name) === undefined)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const ports = hostNames.map((name): LabPort => {
    const netdev = find(name);
    if (netdev === undefined) throw new OvsError('ENODEV', `${name}: lab port vanished`);
    const port: LabPort = { name, onFrame: () => undefined, inject: (frame) => void netdev.send(frame) };
    netdev.onFrame = (frame) => port.onFrame(frame);
    return port;
  });
  const network = new LabNetwork(ports);
  const timer = setInterval(() => {
    network.tick();
    daemon.wake();
  }, labTickMs);
  return { network, stop: () => clearInterval(timer) };
}

function draw(view: LiveView): void {
  const lines = view.lines();
  // On a terminal the view stays in place; in a file or a pipe it scrolls.
  if (process.stdout.isTTY) process.stdout.write(`\x1b[H\x1b[J${lines.join('\n')}\n`);
  else process.stdout.write(`${lines.join('\n')}\n\n`);
}
