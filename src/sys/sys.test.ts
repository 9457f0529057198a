import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { SystemError } from '../util/errors.ts';
import { ovsDirs, dirsNote } from './dirs.ts';
import { check, errnoName, errnoValue, strerror } from './errno.ts';
import { createEventFd, closeFd, drainEventFd, signalEventFd } from './eventfd.ts';
import { libc } from './libc.ts';
import { PollSet } from './poll.ts';
import { readPidfile } from './pidfile.ts';
import { allowedCores, gettid, pinThread } from './threads.ts';
import { btfFunctionId } from './btf.ts';

const dir = mkdtempSync(join(tmpdir(), 'sys-test-'));
afterAll(() => rmSync(dir, { recursive: true }));

describe('errno', () => {
  it('has names and texts', () => {
    expect(errnoName(19)).toBe('ENODEV');
    expect(errnoValue('ENODEV')).toBe(19);
    expect(strerror(19)).toBe('No such device');
    expect(strerror(97)).toBe('Address family not supported by protocol');
    expect(errnoName(4711)).toBe('E4711');
  });
  it('turns a failed call into a SystemError', () => {
    try {
      check(libc.close(-1), 'close', 'could not close');
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({
        code: 'EBADF',
        syscall: 'close',
        message: 'could not close (Bad file descriptor)',
      });
    }
  });
});

describe('dirs', () => {
  it('has the standard ones for root, overridable', () => {
    expect(ovsDirs({}, 0)).toMatchObject({
      rundir: '/var/run/openvswitch',
      logdir: '/var/log/openvswitch',
      dbdir: '/etc/openvswitch',
      isPrivate: false,
    });
    expect(ovsDirs({ OVS_RUNDIR: '/r', OVS_DBDIR: '/d' }, 0)).toMatchObject({ rundir: '/r', dbdir: '/d' });
  });
  it('keeps an ordinary user at home, and says so', () => {
    const dirs = ovsDirs({ HOME: '/home/u' }, 1000);
    expect(dirs).toMatchObject({
      rundir: '/home/u/.local/state/megaflow',
      dbdir: '/home/u/.local/state/megaflow',
    });
    expect(dirsNote(dirs)).toContain('/home/u/.local/state/megaflow');
    expect(ovsDirs({ OVS_RUNDIR: '/r', HOME: '/home/u' }, 1000)).toMatchObject({
      rundir: '/r',
      logdir: '/r',
      dbdir: '/r',
    });
  });
});

describe('threads and events', () => {
  it('knows the thread and its cores', () => {
    const tid = gettid();
    expect(existsSync(`/proc/${process.pid}/task/${tid}`)).toBe(true);
    expect(allowedCores().length).toBeGreaterThan(0);
    expect(() => pinThread(1023)).toThrow('Invalid argument');
  });
  it('polls eventfds', () => {
    const [a, b] = [createEventFd(), createEventFd()];
    const poll = new PollSet(1);
    const at = [poll.add(a), poll.add(b)];
    expect(poll.wait(0)).toBe(0);
    signalEventFd(b);
    signalEventFd(b);
    expect(poll.wait(-1)).toBe(1);
    expect(at.map((i) => poll.revents(i))).toEqual([0, 1]);
    drainEventFd(b);
    expect(poll.wait(0)).toBe(0);
    closeFd(a);
    closeFd(b);
  });
});

describe('daemon', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const script = join(dir, 'daemon.mts');
  writeFileSync(
    script,
    `import { daemonizeComplete, daemonizeStart, ovsFatal, parseDaemonOptions } from ${JSON.stringify(join(root, 'src/sys/daemon.ts'))};
     const { daemon, options, rest } = parseDaemonOptions('ovs-test', process.argv.slice(2), [{ name: 'fail' }]);
     await daemonizeStart(daemon);
     if (options.some((o) => o.name === 'fail')) ovsFatal('ovs-test', 'told to fail');
     setInterval(() => undefined, 1e6);
     daemonizeComplete(daemon);
     if (!daemon.detach) console.log('running', rest.join());`,
  );
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, NODE_OPTIONS: '' };
  const run = (...args: string[]): { status: number | null; stderr: string } => {
    const tsx = import.meta.resolve('tsx');
    const done = spawnSync(process.execPath, ['--import', tsx, script, ...args], { env, encoding: 'utf8' });
    return { status: done.status, stderr: done.stderr };
  };
  const pidfile = join(dir, 'ovs-test.pid');

  it('detaches, holds its pid file, refuses a second one, and cleans up', async () => {
    expect(run('-vconsole:off', '--detach', '--pidfile', '--no-chdir', '--log-file')).toMatchObject({
      status: 0,
      stderr: '',
    });
    const pid = readPidfile(pidfile);
    expect(readFileSync(pidfile, 'utf8')).toBe(`${pid}\n`);
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[5]).toBe(String(pid));
    const second = run('--detach', '--pidfile', '-vconsole:off');
    expect(second).toEqual({
      status: 1,
      stderr: `ovs-test: ${pidfile}: already running as pid ${pid}, aborting\n`,
    });
    process.kill(pid, 'SIGTERM');
    while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setImmediate(resolve));
    expect(existsSync(pidfile)).toBe(false);
    expect(readFileSync(join(dir, 'ovs-test.log'), 'utf8')).toMatch(
      /\|00001\|vlog\|INFO\|opened log file .*\n.*\|fatal_signal\|WARN\|terminating with signal 15 \(Terminated\)\n/,
    );
  });
  it('conveys a start-up failure of the daemon', () => {
    expect(run('--detach', '--pidfile', '--fail', '-vconsole:off')).toEqual({
      status: 1,
      stderr: 'ovs-test: told to fail\n',
    });
    expect(existsSync(pidfile)).toBe(false);
  });
  it('takes over a stale pid file', () => {
    writeFileSync(pidfile, '999999\n');
    expect(run('--pidfile', '--fail', '-vconsole:off').stderr).toBe('ovs-test: told to fail\n');
  });
  it('names the thread', () => {
    const code = `import { gettid, setThreadName } from ${JSON.stringify(join(root, 'src/sys/threads.ts'))};
      import { readFileSync } from 'node:fs';
      setThreadName('pmd-c01/id:8-too-long'); process.stdout.write(readFileSync('/proc/self/task/' + gettid() + '/comm', 'utf8'));`;
    const file = join(dir, 'name.mts');
    writeFileSync(file, code);
    expect(execFileSync(process.execPath, ['--import', import.meta.resolve('tsx'), file]).toString()).toBe(
      'pmd-c01/id:8-to\n',
    );
  });
});

describe('BTF', () => {
  it('finds a function of the running kernel, and not one that there is not', () => {
    let btf: Uint8Array;
    try {
      btf = readFileSync('/sys/kernel/btf/vmlinux');
    } catch {
      return;
    }
    expect(btfFunctionId(btf, 'schedule')).toBeGreaterThan(0);
    expect(btfFunctionId(btf, 'no_such_function_in_any_kernel')).toBe(0);
  });
  it('says no to anything else', () => {
    expect(btfFunctionId(new Uint8Array(100), 'schedule')).toBe(0);
    expect(btfFunctionId(new Uint8Array(0), 'schedule')).toBe(0);
  });
});
