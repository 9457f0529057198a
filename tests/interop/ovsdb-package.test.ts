import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatJson, parseJson } from '../../src/stream/json.ts';
import { startOurs, startStock } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const skip = missing({ tools: ['ovsdb-server', 'tar'] });

function run(cwd: string, name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(name, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** Output of a program of Node, which runs beside a server in this process. */
async function runNode(cwd: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.on('data', (bytes: Buffer) => (out += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (errors += bytes.toString()));
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status !== 0) throw new Error(`${args.join(' ')}: exit ${String(status)}\n${out}${errors}`);
  return out;
}

/** A project that has installed the tarball of `npm pack`, and the example as its program. */
describe.skipIf(skip !== null)('megaflow/ovsdb in a project of its own', () => {
  let project: string;
  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'consumer-'));
    run(root, 'npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', project);
    const tarball = readdirSync(project).find((name) => name.endsWith('.tgz')) ?? '';
    const modules = join(project, 'node_modules');
    mkdirSync(join(modules, 'megaflow'), { recursive: true });
    run(project, 'tar', '-xzf', tarball, '-C', join(modules, 'megaflow'), '--strip-components=1');
    // What npm would install beside it, without the network.
    symlinkSync(join(root, 'node_modules/koffi'), join(modules, 'koffi'));
    mkdirSync(join(modules, '@types'));
    symlinkSync(join(root, 'node_modules/@types/node'), join(modules, '@types/node'));
    symlinkSync(join(root, 'node_modules/undici-types'), join(modules, 'undici-types'));
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    cpSync(join(root, 'examples/ovsdb-bridges.ts'), join(project, 'ovsdb-bridges.ts'));
    // Fails to compile if the types were lost on the way: then nothing would be an error.
    writeFileSync(
      join(project, 'mistakes.ts'),
      `import { connectOvsdb } from 'megaflow/ovsdb';
       import { openVSwitch } from 'megaflow/ovsdb/open-vswitch';
       export async function mistakes(): Promise<void> {
         const db = await connectOvsdb(openVSwitch, { remote: 'unix:x' });
         // @ts-expect-error no such column
         db.tables.Bridge.rows.map((row) => row.nope);
         // @ts-expect-error not a word of the enumeration
         await db.transact((tx) => tx.insert('Bridge', { name: 'a', fail_mode: 'other' }));
       }`,
    );
    writeFileSync(
      join(project, 'tsconfig.json'),
      formatJson({
        compilerOptions: {
          strict: true,
          target: 'es2022',
          module: 'nodenext',
          types: ['node'],
          skipLibCheck: true,
          noUncheckedIndexedAccess: true,
        },
        include: ['*.ts'],
      }),
    );
  });
  afterAll(() => {
    rmSync(project, { recursive: true });
  });

  it('type-checks and runs against the stock server and ours', { timeout: 600_000 }, async () => {
    run(project, join(root, 'node_modules/.bin/tsc'), '-p', '.');
    const schema = parseJson(readFileSync(join(root, 'share/vswitch.ovsschema'), 'utf8'));
    for (const start of [startStock, startOurs]) {
      const server = await start(schema);
      try {
        expect(await runNode(project, 'ovsdb-bridges.js', `unix:${server.socket}`)).toBe(
          'insert example0: fail_mode, name, ports\nexample0 secure: example0 (7)\nmodify example0: external_ids\nowner example\n' +
            'delete example0\nrows left: 0\n',
        );
      } finally {
        await server.stop();
      }
    }
  });
});
