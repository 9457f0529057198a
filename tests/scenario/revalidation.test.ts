import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';

/**
 * The life of megaflows under virtual time, with our tools only: idle expiry, flow limit, statistics
 * of flows that die, time-outs of rules.
 */
describe('megaflows and rules under virtual time', () => {
  let s: SwitchUnderTest;

  const ok = (name: string, ...args: string[]): string =>
    s.expect(s.ours(name, ...args), [name, ...args].join(' '));
  const appctl = (...args: string[]): string => ok('ovs-appctl', ...args);
  const packet = (source: number): string =>
    `in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800),` +
    `ipv4(src=10.0.0.${source},dst=10.0.1.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)`;
  const send = async (source: number): Promise<void> => {
    const seen = received();
    appctl('netdev-dummy/receive', 'p1', packet(source));
    await waitFor(() => received() > seen, 'the packet is received');
  };
  const received = (): number =>
    Number(/packets received: (\d+)/.exec(appctl('dpif-netdev/pmd-stats-show'))?.[1]);
  const megaflows = (): string[] =>
    appctl('dpctl/dump-flows')
      .split('\n')
      .filter((l) => l.startsWith('recirc_id'));
  const packets = (match: string): number =>
    Number(new RegExp(`n_packets=(\\d+).*${match}`).exec(ok('ovs-ofctl', 'dump-flows', 'br0'))?.[1] ?? -1);

  const sentOn = (port: number): number =>
    Number(/tx pkts=(\d+)/.exec(ok('ovs-ofctl', 'dump-ports', 'br0', String(port)))?.[1]);

  beforeAll(async () => {
    s = await SwitchUnderTest.start('ours', ['--enable-dummy']);
    const ports = [1, 2].flatMap((p) => [
      '--',
      'add-port',
      'br0',
      `p${p}`,
      '--',
      'set',
      'interface',
      `p${p}`,
      'type=dummy',
      `ofport_request=${p}`,
    ]);
    ok(
      'ovs-vsctl',
      'add-br',
      'br0',
      '--',
      'set',
      'bridge',
      'br0',
      'datapath_type=dummy',
      'fail_mode=secure',
      ...ports,
    );
    appctl('time/stop');
  });

  afterAll(() => s.stop());

  beforeEach(() => {
    appctl('upcall/set-flow-limit', '10000');
    ok('ovs-ofctl', 'del-flows', 'br0');
    appctl('revalidator/purge');
    expect(megaflows()).toEqual([]);
  });

  it('expire 10 s after their last packet', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,actions=2');
    await send(1);
    await send(1);
    appctl('time/warp', '9000', '500');
    appctl('revalidator/wait');
    expect(megaflows()).toHaveLength(1);
    appctl('time/warp', '2000', '500');
    appctl('revalidator/wait');
    expect(megaflows()).toEqual([]);
    expect(packets('in_port=1')).toBe(2);
  });

  it('are deleted also while revalidators pause', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,actions=2');
    await send(1);
    appctl('revalidator/pause');
    try {
      expect(megaflows()).toHaveLength(1);
      appctl('revalidator/purge');
      expect(megaflows()).toEqual([]);
      await send(1);
      appctl('dpctl/del-flows');
      expect(megaflows()).toEqual([]);
    } finally {
      appctl('revalidator/resume');
    }
    expect(packets('in_port=1')).toBe(2);
  });

  it('credit packets to a rule also when they die early', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,actions=2');
    for (let i = 0; i < 5; i++) await send(1);
    appctl('revalidator/purge');
    expect(packets('in_port=1')).toBe(5);
  });

  it('are refused above the flow limit, and the packets still forwarded', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,ip,nw_src=10.0.0.1,actions=2');
    for (let n = 2; n < 8; n++)
      ok('ovs-ofctl', 'add-flow', 'br0', `in_port=1,ip,nw_src=10.0.0.${n},actions=2`);
    appctl('upcall/set-flow-limit', '3');
    const sentBefore = sentOn(2);
    for (let n = 1; n < 8; n++) await send(n);
    expect(megaflows().length).toBeLessThanOrEqual(4);
    expect(appctl('coverage/show')).toMatch(/upcall_flow_limit_hit/);
    expect(sentOn(2) - sentBefore).toBe(7);
  });

  it('follow a changed rule', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,ip,actions=2');
    await send(1);
    expect(megaflows()[0]).toMatch(/actions:2$/);
    ok('ovs-ofctl', 'mod-flows', 'br0', 'in_port=1,ip,actions=IN_PORT');
    appctl('revalidator/wait');
    expect(megaflows()[0]).toMatch(/actions:1$/);
  });

  it('let idle and hard time-outs remove rules', async () => {
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=1,idle_timeout=5,actions=2');
    ok('ovs-ofctl', 'add-flow', 'br0', 'in_port=2,hard_timeout=8,actions=1');
    await send(1);
    appctl('time/warp', '4000', '500');
    await send(1);
    appctl('time/warp', '4000', '500');
    appctl('revalidator/wait');
    expect(packets('in_port=1')).toBe(2);
    appctl('time/warp', '6000', '500');
    appctl('revalidator/wait');
    appctl('time/warp', '2000', '500');
    expect(ok('ovs-ofctl', 'dump-flows', 'br0')).not.toMatch(/in_port/);
  });
});
