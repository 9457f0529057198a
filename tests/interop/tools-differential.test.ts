import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whenListening } from '../support/ovsdb.ts';
import { runProgram } from '../support/tool-batch.ts';
import { ToolDifferential, environment, unordered } from '../support/tool-differential.ts';
import { missing } from '../support/tools.ts';

/** Our tools against the stock ones, on stock servers: exit status, output, errors and logged warnings. */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-appctl', 'ovsdb-client', 'ovsdb-tool', 'ovsdb-server'] });
const casesDir = fileURLToPath(new URL('tool-cases/', import.meta.url));
const ourTool = fileURLToPath(new URL('../../bin/ovs-vsctl', import.meta.url));
const ourServer = fileURLToPath(new URL('../../bin/ovsdb-server', import.meta.url));
const schemaFile = '/usr/share/openvswitch/vswitch.ovsschema';

function cases(name: string): string[] {
  const lines = readFileSync(join(casesDir, `${name}.txt`), 'utf8').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

interface Server {
  readonly dir: string;
  stop(): Promise<void>;
}

async function run(dir: string, program: string, ...args: string[]): Promise<void> {
  const { status, stderr } = await runProgram(program, args, { env: environment(dir), cwd: dir });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

/** A server in a directory of its own, which is the run directory of the tools. */
async function startServer(kind: 'ours' | 'stock'): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'tools-'));
  await run(dir, 'ovsdb-tool', 'create', 'conf.db', schemaFile);
  const child = spawn(
    kind === 'ours' ? ourServer : 'ovsdb-server',
    ['--remote=punix:db.sock', '--pidfile', '--unixctl=ovsdb-server.ctl', '-vconsole:off', 'conf.db'],
    { cwd: dir, env: environment(dir), stdio: 'ignore' },
  );
  await whenListening(join(dir, 'db.sock'), child);
  await run(dir, 'ovs-vsctl', '--no-wait', 'init');
  return {
    dir,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}

describe.skipIf(skip !== null || !existsSync(schemaFile))('our tools against the stock ones', () => {
  describe.each(['stock', 'ours'] as const)('on one server of kind %s', (kind) => {
    let prepared: Server;
    beforeAll(async () => {
      prepared = await startServer(kind);
      await run(prepared.dir, 'sh', '-e', join(casesDir, 'prepare.sh'));
    });
    afterAll(async () => await prepared.stop());

    it.each(['ovs-vsctl-reading', 'ovsdb-client', 'ovsdb-tool'])('%s', async (name) => {
      const tools = new ToolDifferential({ ours: prepared.dir, stock: prepared.dir });
      for (const line of cases(name))
        expect.soft(await tools.ours(line), line).toEqual(await tools.stock(line));
      await tools.close();
    });
  });

  it.each(['ovsdb-tool', 'ovsdb-client', 'ovs-vsctl', 'ovs-appctl', 'ovs-dpctl'])(
    '%s does not mind a reader that is gone',
    async (name) => {
      const program = fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
      // The reader ends before the program, which needs longer to start.
      const line = `"${program}" --help | :`;
      expect(await runProgram('sh', ['-c', line], { env: process.env, cwd: tmpdir() })).toEqual({
        status: 0,
        stdout: '',
        stderr: '',
      });
    },
  );

  it('say the same of each schema', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'schemas-'));
    const tools = new ToolDifferential({ ours: dir, stock: dir });
    for (const [i, text] of cases('schemas').entries()) {
      writeFileSync(join(dir, `schema${i}`), text);
      const line = `ovsdb-tool schema-name schema${i}`;
      expect.soft(await tools.ours(line), text).toEqual(await tools.stock(line));
    }
    await tools.close();
    rmSync(dir, { recursive: true });
  });

  it('ovs-vsctl logs what it was called for, and why it failed', async () => {
    const server = await startServer('stock');
    const file = join(server.dir, 'tool.log');
    const logged = async (program: string, line: string): Promise<string> => {
      rmSync(file, { force: true });
      await runProgram(program, ['--no-wait', `--log-file=${file}`, ...line.split(' ')], {
        env: environment(server.dir),
        cwd: server.dir,
        argv0: 'ovs-vsctl',
      });
      return readFileSync(file, 'utf8').replaceAll(/^[^|]*\|/gm, '');
    };
    for (const line of [
      'show',
      'foo',
      '--dry-run add-br br5',
      'add-br br5 extra',
      '--no-syslog --dry-run add-br br6',
      '--may-exist del-br br7',
      'get bridge br5 nope',
      'add-br br5 -- set bridge br5 stp_enable=maybe',
      'del-br nope',
      '--dry-run -- --id=@x create bridge name=q',
      '--format=foo show',
      '--db=unix:nope show',
      '--db=foo show',
    ])
      expect.soft(await logged(ourTool, line), line).toEqual(await logged('ovs-vsctl', line));
    await server.stop();
  });

  it.each([
    { tool: 'ours', server: 'stock' },
    { tool: 'ours', server: 'ours' },
    { tool: 'stock', server: 'ours' },
  ] as const)('ovs-vsctl-writing: tool $tool, server $server', async ({ tool, server }) => {
    const servers = [await startServer(server), await startServer('stock')] as const;
    const tested = new ToolDifferential({ ours: servers[0].dir, stock: servers[0].dir });
    const reference = new ToolDifferential({ ours: servers[1].dir, stock: servers[1].dir });
    for (const line of cases('ovs-vsctl-writing')) {
      const [mine, wanted] = await Promise.all([tested[tool](line), reference.stock(line)]);
      expect.soft(unordered(mine), line).toEqual(unordered(wanted));
    }
    await tested.close();
    await reference.close();
    for (const each of servers) await each.stop();
  });
});
