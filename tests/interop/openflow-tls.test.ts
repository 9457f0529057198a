import { afterEach, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/tools.ts';

const skip = missing({ tools: ['ovs-vswitchd', 'ovs-ofctl', 'openssl'], root: true });

/** Controllers and managers that speak TLS, by the SSL table and by the command line. */
describe.skipIf(skip !== null)('OpenFlow and OVSDB over TLS', () => {
  let under: SwitchUnderTest | undefined;
  const pki = new Pki();
  afterEach(async () => {
    await under?.stop();
    under = undefined;
    pki.remove();
  });

  it('serves the stock ovs-ofctl and ours, and ours reaches a stock switch', async () => {
    const port = 20_000 + (process.pid % 20_000);
    const { key, certificate } = pki.certificate('switch', 'a');
    const client = pki.options('client', 'a');
    for (const kind of ['ours', 'stock'] as const) {
      under = await SwitchUnderTest.start(kind, ['--enable-dummy', '--disable-system']);
      under.expect(
        under.tool(
          'ovs-vsctl',
          ...['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy', '--'],
          ...['set-ssl', key, certificate, pki.authority('a'), '--'],
          ...['set-controller', 'br0', `pssl:${port}:127.0.0.1`],
        ),
      );
      const remote = `ssl:127.0.0.1:${port}`;
      const current = under;
      await waitFor(
        () => current.stock('ovs-ofctl', ...client, 'show', remote).status === 0,
        `${kind} listens`,
      );
      expect(under.ours('ovs-ofctl', ...client, 'dump-flows', remote)).toMatchObject({ status: 0 });
      const stranger = under.ours('ovs-ofctl', ...pki.options('stranger', 'b', 'a'), 'show', remote);
      expect(stranger.status).toBe(1);
      const keyless = [under.ours('ovs-ofctl', 'show', remote), under.stock('ovs-ofctl', 'show', remote)];
      for (const ran of keyless) {
        expect(ran.status).toBe(1);
        expect(ran.stderr).toContain('Private key must be configured to use SSL');
        expect(ran.stderr).toContain('Protocol not available');
      }
      await under.stop();
      under = undefined;
    }
  });
});
