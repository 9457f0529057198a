import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { runProgram } from '../support/tool-batch.ts';
import type { ToolOutcome } from '../support/tool-batch.ts';
import { missing } from '../support/tools.ts';

/** Commands of ovsdb-client that take time: ours and the stock one at the same time on one server, of either kind. */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-appctl', 'ovsdb-client', 'ovsdb-tool', 'ovsdb-server'] });
const bin = fileURLToPath(new URL('../../bin', import.meta.url));

/** A client that goes on until it is told to end. */
class RunningClient {
  output = '';
  readonly #child;
  readonly #ended: Promise<unknown>;
  /** Its exit status; others may go on holding its output. */
  readonly exited: Promise<number | null>;

  constructor(server: SwitchUnderTest, path: string, args: readonly string[]) {
    this.#child = spawn(path, args, {
      env: server.env,
      cwd: server.rundir,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout.on('data', (bytes: Buffer) => (this.output += bytes.toString()));
    this.exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }
  async stop(): Promise<void> {
    this.#child.kill();
    await this.#ended;
  }
}

const monitors: readonly (readonly string[])[] = [
  ['monitor', 'Mirror', 'name', 'select_all,output_vlan'],
  ['monitor', 'Mirror'],
  ['monitor', 'ALL'],
  ['monitor', 'Mirror', 'name,!initial,!insert', 'select_all'],
  ['monitor', 'Mirror', 'name,!modify,!delete'],
  ['monitor', '-f', 'json', 'Mirror', 'name'],
  ['-f', 'list', 'monitor-cond', '[]', 'Mirror', 'name,output_vlan'],
  ['-f', 'csv', 'monitor-cond', '[["name","==","m1"]]', 'Mirror', 'name,output_vlan'],
  ['-f', 'html', 'monitor-cond', '[["name","==","m1"]]', 'Mirror', 'name,output_vlan,!initial'],
  ['monitor-cond-since', '[]', 'Mirror', 'name,output_vlan'],
  ['--bare', 'monitor-cond-since', '00000000-0000-0000-0000-000000000000', '[true]', 'Mirror', 'name'],
];

const changes = [
  '-- --id=@m create mirror name=m1 -- add bridge br0 mirrors @m',
  'set mirror m1 select_all=true output_vlan=5',
  'set mirror m1 select_all=false',
  '-- remove mirror m1 output_vlan 5 -- set mirror m0 name=m2',
  'set mirror m2 name=m0',
  'clear bridge br0 mirrors',
];

describe.skipIf(skip !== null).each(['stock', 'ours'] as const)(
  'ovsdb-client on a server of kind %s',
  (kind) => {
    let server: SwitchUnderTest;
    const vsctl = (line: string): void => {
      server.stockOk('ovs-vsctl', '--no-wait', ...line.split(' '));
    };
    const ours = async (args: readonly string[], input = ''): Promise<ToolOutcome> =>
      await runProgram(join(bin, 'ovsdb-client'), args, { env: server.env, cwd: server.rundir, input });
    const stock = async (args: readonly string[]): Promise<ToolOutcome> =>
      await runProgram('ovsdb-client', args, { env: server.env, cwd: server.rundir });

    beforeAll(async () => {
      server = await SwitchUnderTest.startServerOnly(kind);
      vsctl('add-br br0 -- --id=@m create mirror name=m0 -- set bridge br0 mirrors=@m external_ids:a=b');
    });
    afterAll(async () => await server.stop());

    it('monitors as the stock client does', async () => {
      // All at once: the commands that say what a client must print take longest.
      const pairs = monitors.map((args) => ({
        args,
        mine: new RunningClient(server, join(bin, 'ovsdb-client'), args),
        wanted: new RunningClient(server, 'ovsdb-client', args),
      }));
      const watchers = ['ovsdb-client', join(bin, 'ovsdb-client')].map(
        (path) => new RunningClient(server, path, ['monitor', 'Bridge', 'external_ids']),
      );
      const everyone = [...pairs.flatMap(({ mine, wanted }) => [mine, wanted])];
      await waitFor(
        () =>
          watchers.every(({ output }) => output.includes('a=b')) &&
          pairs.every(({ args, mine, wanted }) =>
            [mine, wanted].every(
              ({ output }) => args.some((a) => a.includes('!initial') || a.includes('m1')) || output !== '',
            ),
          ),
        'initial contents',
      );
      // Those that print nothing at first are there when a change reached them.
      vsctl('-- --id=@m create mirror name=m1 output_vlan=9 -- add bridge br0 mirrors @m');
      await waitFor(
        () =>
          pairs.every(
            ({ args, mine, wanted }) =>
              args.some((a) => a.includes('!insert')) || [mine, wanted].every((c) => c.output.includes('m1')),
          ),
        'the first change',
      );
      vsctl(
        'remove bridge br0 mirrors ' + server.stockOk('ovs-vsctl', 'get', 'mirror', 'm1', '_uuid').trim(),
      );
      for (const line of changes) vsctl(line);
      vsctl('set bridge br0 external_ids:a=last');
      await waitFor(() => watchers.every(({ output }) => output.includes('a=last')), 'the last change');
      await waitFor(
        () => pairs.every(({ mine, wanted }) => mine.output.length === wanted.output.length),
        'as much output',
        10_000,
      ).catch(() => undefined);
      for (const { args, mine, wanted } of pairs)
        expect.soft(mine.output, args.join(' ')).toBe(wanted.output);
      for (const client of [...everyone, ...watchers]) await client.stop();
    });

    it('says what happens to locks', async () => {
      const outputs: string[] = [];
      for (const path of ['ovsdb-client', join(bin, 'ovsdb-client')]) {
        const first = new RunningClient(server, path, ['lock', 'a']);
        await waitFor(() => first.output.includes('{"locked":true}'), 'lock');
        const second = new RunningClient(server, path, ['lock', 'a']);
        await waitFor(() => second.output.includes('{"locked":false}'), 'wait for the lock');
        const thief = new RunningClient(server, path, ['steal', 'a']);
        await waitFor(() => first.output.includes('stolen\n["a"]\n'), 'lock stolen');
        await thief.stop();
        await waitFor(() => first.output.endsWith('stolen\n["a"]\nlocked\n["a"]\n'), 'lock given back');
        await first.stop();
        await waitFor(() => second.output.includes('locked\n["a"]\n'), 'lock passed on');
        await second.stop();
        outputs.push([first, second, thief].map(({ output }) => output).join('--\n'));
      }
      expect(outputs[1]).toBe(outputs[0]);
    });

    it('detaches after the initial contents and obeys ovs-appctl', async () => {
      const pidfile = join(server.rundir, 'client.pid');
      const args = ['--detach', '--no-chdir', `--pidfile=${pidfile}`, 'lock', 'b'];
      const started = new RunningClient(server, join(bin, 'ovsdb-client'), args);
      expect(await started.exited).toBe(0);
      await waitFor(() => started.output === '{"locked":true}\n', 'the reply');
      const target = join(server.rundir, `ovsdb-client.${readFileSync(pidfile, 'utf8').trim()}.ctl`);
      expect(server.stock('ovs-appctl', '-t', target, 'unlock', 'b').status).toBe(0);
      expect(
        (await stock(['-t', '5', 'query', '["Open_vSwitch",{"op":"comment","comment":"x"}]'])).status,
      ).toBe(0);
      expect(server.stock('ovs-appctl', '-t', target, 'exit').status).toBe(0);
      await waitFor(() => server.stock('ovs-appctl', '-t', target, 'version').status !== 0, 'exit');
    });

    it('backs up and restores', async () => {
      vsctl('add-port br0 p1 -- set port p1 tag=5 -- set bridge br0 other_config:x=y');
      const dump = ['dump', 'Port', 'name', 'tag'];
      const before = await stock(dump);
      const backups = [await ours(['backup']), await stock(['backup'])].map(({ stdout }) => stdout);
      backups.forEach((backup, i) => writeFileSync(join(server.rundir, `backup${i}.db`), backup));
      for (const kindOfTool of ['ours', 'stock'] as const) {
        for (const i of [0, 1]) {
          const { status, stdout } = server[kindOfTool](
            'ovsdb-tool',
            'query',
            join(server.rundir, `backup${i}.db`),
            '["Open_vSwitch",{"op":"select","table":"Port","where":[["name","==","p1"]],"columns":["tag"]}]',
          );
          expect({ status, stdout }, `${kindOfTool} ${i}`).toEqual({
            status: 0,
            stdout: '[{"rows":[{"tag":5}]}]\n',
          });
        }
      }
      for (const backup of backups) {
        vsctl('del-br br0');
        expect((await stock(dump)).stdout).not.toBe(before.stdout);
        expect(await ours(['restore'], backup)).toEqual({ status: 0, stdout: '', stderr: '' });
        expect((await stock(dump)).stdout).toBe(before.stdout);
      }
      const other = (backups[0] ?? '').replace('"8.3.1"', '"8.3.2"');
      expect((await ours(['restore'], other)).status).toBe(1);
    });

    it('waits for databases to come and go', async () => {
      expect((await ours(['wait', 'Open_vSwitch', 'added'])).status).toBe(0);
      expect((await ours(['wait', 'Open_vSwitch', 'connected'])).status).toBe(0);
      expect((await ours(['wait', 'Other', 'removed'])).status).toBe(0);
      const file = join(server.rundir, 'other.db');
      writeFileSync(
        join(server.rundir, 'other.ovsschema'),
        '{"name":"Other","version":"1.0.0","tables":{"T":{"columns":{"c":{"type":"string"}}}}}',
      );
      server.expect(server.ours('ovsdb-tool', 'create', file, join(server.rundir, 'other.ovsschema')));
      const added = ours(['wait', 'Other', 'added']);
      server.stockOk('ovs-appctl', '-t', 'ovsdb-server', 'ovsdb-server/add-db', file);
      expect((await added).status).toBe(0);
      const removed = ours(['wait', 'Other', 'removed']);
      server.stockOk('ovs-appctl', '-t', 'ovsdb-server', 'ovsdb-server/remove-db', 'Other');
      expect((await removed).status).toBe(0);
    });
  },
);
