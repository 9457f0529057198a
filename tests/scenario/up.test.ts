import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { waitFor } from '../support/daemons.ts';

/** `megaflow up`: the main job in one command, with our own tools in a second shell. */
describe('megaflow up', () => {
  const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
  const rundir = mkdtempSync(join(tmpdir(), 'mf-up-'));
  const env = { ...process.env, OVS_RUNDIR: rundir };
  const tool = (name: string, ...args: string[]): string =>
    spawnSync(bin(name), args, { env, encoding: 'utf8' }).stdout;

  afterAll(() => rmSync(rundir, { recursive: true, force: true }));

  const start = (...args: string[]) => {
    const child = spawn(bin('megaflow'), ['up', ...args], { env });
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
    child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    return { child, ended, output: () => output };
  };

  it('runs a lab whose hosts talk, and stops cleanly on Ctrl-C', async () => {
    const { child, ended, output } = start();
    await waitFor(
      () => tool('ovs-appctl', 'dpctl/dump-flows').includes('eth_type(0x0800)'),
      'megaflows are there',
    );
    expect(tool('ovs-vsctl', 'list-ports', 'br0')).toBe('h1\nh2\nh3\n');
    await waitFor(() => /udp echo [1-9]\d*\/\d+ answered/.test(output()), 'the hosts talk');
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(output()).toMatch(/received \d+ packets: \d+ EMC hits, [1-9]\d* megaflow hits/);
    expect(tool('ovs-appctl', 'version')).toBe('');
  });

  it('stops by itself, keeps its configuration, and can do without the lab', async () => {
    const { ended, output } = start('--no-lab', '--for', '3');
    await waitFor(() => tool('ovs-vsctl', 'list-br') === 'br0\n', 'the bridge of before is back');
    expect(await ended).toBe(0);
    expect(output()).not.toContain('lab:');
  });
});
