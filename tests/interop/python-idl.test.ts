import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SwitchUnderTest } from '../support/daemons.ts';
import { findTool, missing } from '../support/tools.ts';

/** python3-openvswitch's IDL, which OpenStack and OVN's tools use, against our server: what it sees is what it sees of the stock one. */
const script = fileURLToPath(new URL('../support/python-idl.py', import.meta.url));
const schema = fileURLToPath(new URL('../../share/vswitch.ovsschema', import.meta.url));
/** The system's Python: the package is installed for no other. */
const python = findTool('python3') ?? 'python3';
const hasModule = spawnSync(python, ['-c', 'import ovs.db.idl']).status === 0;
const skip = missing({ tools: ['python3', 'ovsdb-server', 'ovsdb-tool', 'ovs-vsctl'] });

describe.skipIf(skip !== null || !hasModule)("python3-openvswitch's IDL", () => {
  it('reads, writes, locks and asks for a part of a table', async () => {
    const outputs: string[] = [];
    for (const kind of ['stock', 'ours'] as const) {
      const server = await SwitchUnderTest.startServerOnly(kind);
      server.stockOk('ovs-vsctl', '--no-wait', 'init');
      const { status, stdout, stderr } = spawnSync(
        python,
        [script, `unix:${server.rundir}/db.sock`, schema],
        { encoding: 'utf8', timeout: 60_000 },
      );
      await server.stop();
      expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
      outputs.push(stdout.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID'));
    }
    expect(outputs[1]).toBe(outputs[0]);
    expect(outputs[1]).toContain("[('a', '9')] [2, 3, 7] ['secure'] 1");
  });
});
