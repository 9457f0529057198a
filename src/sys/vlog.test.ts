import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../util/clock.ts';
import { OptionError } from '../util/errors.ts';
import { vlog } from '../util/log.ts';
import { getopt } from './getopt.ts';
import { formatVlog, strftimeMs } from './vlog-format.ts';
import {
  initVlog,
  vlogClose,
  vlogListPatternText,
  vlogListText,
  vlogReopen,
  vlogSet,
  vlogSetLogFile,
  vlogSetVerbosity,
  vlogWrite,
} from './vlog-sink.ts';

describe('log patterns', () => {
  const context = {
    program: 'ovs-x',
    wallMs: Date.UTC(2026, 10, 5, 3, 4, 5, 67),
    uptimeMs: 1234.5,
    sequence: 7,
    facility: 24,
  };
  const record = { module: 'bridge', level: 'warn', message: 'm', thread: '' } as const;
  it('prints what OVS prints', () => {
    const file = '%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m';
    expect(formatVlog(file, record, context)).toBe('2026-11-05T03:04:05.067Z|00007|bridge|WARN|m');
    expect(formatVlog(file, { ...record, thread: 'handler1' }, context)).toBe(
      '2026-11-05T03:04:05.067Z|00007|bridge(handler1)|WARN|m',
    );
    expect(formatVlog('<%B> %A %-8c|%8c|%t|%r|%%|%q', record, context)).toBe(
      '<28> ovs-x bridge  |  bridge|main|1234|%|q',
    );
    expect(strftimeMs('%h %e %T', context.wallMs, true)).toBe('Nov  5 03:04:05');
  });
});

describe('vlog sinks', () => {
  const dir = mkdtempSync(join(tmpdir(), 'vlog-test-'));
  const path = join(dir, 'x.log');
  const log = vlog('test_module');
  vlogSetVerbosity('console:off');
  vlogSetVerbosity('syslog:off');
  initVlog('ovs-test', new ManualClock(0, Date.UTC(2026, 0, 1)));

  it('understands -v', () => {
    expect(vlogSet('foo')).toBe('no destination, level, or module "foo"');
    expect(vlogSet('console:file:dbg')).toBe('cannot specify multiple destinations');
    expect(vlogSet('dbg,info')).toBe('cannot specify multiple levels');
    expect(vlogSet('test_module vlog info')).toBe('cannot specify multiple modules');
    expect(vlogSet('PATTERN:x')).toBe('unknown destination "x"');
    expect(vlogSet('FACILITY:zzz')).toBe('invalid facility');
    expect(() => vlogSetVerbosity('foo')).toThrow(
      new OptionError('processing "foo": no destination, level, or module "foo"'),
    );
    expect(vlogSet('test-module:FILE:Warn')).toBeNull();
    expect(log.levels).toMatchObject({ file: 'warn', console: 'off' });
    expect(vlogSet('ANY:file:info')).toBeNull();
    expect(vlog('declared_later').levels).toMatchObject({ file: 'info', console: 'off' });
    expect(vlogListText()).toContain('\ntest_module        OFF        OFF       INFO\n');
    expect(vlogListPatternText()).toContain(
      'FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m\n',
    );
  });
  it('writes files, numbers messages per thread, and reopens after rotation', () => {
    vlogSetLogFile(path);
    log.warn('two\nlines');
    vlogWrite({ module: 'test_module', level: 'info', message: 'from a worker', thread: 'pmd-c01/id:8' });
    log.dbg('not seen');
    const head = '2026-01-01T00:00:00.000Z';
    expect(readFileSync(path, 'utf8')).toBe(
      `${head}|00001|vlog|INFO|opened log file ${path}\n` +
        `${head}|00002|test_module|WARN|two\n${head}|00002|test_module|WARN|lines\n` +
        `${head}|00001|test_module(pmd-c01/id:8)|INFO|from a worker\n`,
    );
    expect(vlogReopen()).toBeNull();
    renameSync(path, `${path}.1`);
    expect(vlogReopen()).toBeNull();
    expect(readFileSync(`${path}.1`, 'utf8')).toContain('closing log file');
    expect(readFileSync(path, 'utf8')).toContain('opened log file');
    vlogClose();
    log.warn('gone');
    expect(readFileSync(path, 'utf8')).not.toContain('gone');
    rmSync(dir, { recursive: true });
  });
});

describe('getopt', () => {
  const specs = [
    { name: 'pidfile', arg: 'optional' },
    { name: 'pidless' },
    { name: 'remote', short: 'r', arg: 'required' },
    { name: 'verbose', short: 'v', arg: 'optional' },
    { name: 'help', short: 'h' },
  ] as const;
  const parse = (...argv: string[]): unknown => {
    try {
      const { options, rest } = getopt(argv, specs);
      return [options.map((o) => (o.value === null ? o.name : `${o.name}=${o.value}`)), rest];
    } catch (error) {
      return (error as Error).message;
    }
  };
  it('parses as getopt_long does', () => {
    expect(
      parse('a', '--pidfile', '-hv', '--pidfile=x', 'b', '-vdbg', '--rem', 'y', '-rz', '--', '-h'),
    ).toEqual([
      ['pidfile', 'help', 'verbose', 'pidfile=x', 'verbose=dbg', 'remote=y', 'remote=z'],
      ['a', 'b', '-h'],
    ]);
    expect(parse('--foo')).toBe("unrecognized option '--foo'");
    expect(parse('-x')).toBe("invalid option -- 'x'");
    expect(parse('--help=1')).toBe("option '--help' doesn't allow an argument");
    expect(parse('--remote')).toBe("option '--remote' requires an argument");
    expect(parse('-r')).toBe("option requires an argument -- 'r'");
    expect(parse('--pid')).toBe("option '--pid' is ambiguous; possibilities: '--pidfile' '--pidless'");
  });
});
