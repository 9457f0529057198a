import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writePcap } from '../../bench/macro/frames.ts';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';

/** More flows than an arena of 64 MB has room for, replayed for ever; each wants a megaflow of its own. */
const flows = 300_000;

describe('a switch whose arena is full', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mf-full-'));
  let s: SwitchUnderTest;
  const coverage = (name: string): number =>
    Number(
      new RegExp(`^${name} .*total: (\\d+)`, 'm').exec(
        s.expect(s.ours('ovs-appctl', 'coverage/show')),
      )?.[1] ?? 0,
    );
  const sent = (): number =>
    Number(/tx pkts=(\d+)/.exec(s.expect(s.ours('ovs-ofctl', 'dump-ports', 'full0', '2')))?.[1]);
  const vsctl = (...args: string[]): void => {
    s.expect(s.ours('ovs-vsctl', ...args));
  };
  const replay = (name: string, ...more: string[]): string[] => [
    ...['add-port', 'full0', name, '--', 'set', 'interface', name, 'type=pcap', 'options:infinite=true'],
    ...[`options:rx_pcap="${join(folder, 'flows.pcap')}"`, ...more],
  ];

  beforeAll(async () => {
    writePcap(join(folder, 'flows.pcap'), flows, (i) => ({ nwSrc: 0x0a00_0000 + i, tpSrc: 1024 }));
    s = await SwitchUnderTest.start('ours', ['--arena-mb=160', '--enable-dummy']);
    vsctl(
      ...['add-br', 'full0', '--', 'set', 'bridge', 'full0', 'datapath_type=dummy', 'fail_mode=secure'],
      ...['--', 'add-port', 'full0', 'out', '--', 'set', 'interface', 'out', 'type=null', 'ofport_request=2'],
      ...['--', 'set', 'Open_vSwitch', '.', 'other_config:flow-limit=1000000', 'other_config:max-idle=500'],
    );
    s.expect(
      s.ours('ovs-ofctl', 'add-flow', 'full0', 'ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],output:2'),
    );
  });
  afterAll(async () => {
    await s.stop();
    rmSync(folder, { recursive: true });
  });

  it('refuses and counts new flows, and forwards their packets all the same', async () => {
    s.expect(s.ours('ovs-appctl', 'upcall/set-flow-limit', '1000000'));
    vsctl(...replay('in', 'ofport_request=1'));
    await waitFor(() => coverage('upcall_flow_limit_hit') > 1000, 'flows are refused', 60_000);
    expect(s.log()).toMatch(/upcall_cb failure: ukey installation fails/);
    const before = { sent: sent(), refused: coverage('upcall_flow_limit_hit') };
    await waitFor(
      () => coverage('upcall_flow_limit_hit') > before.refused + 1000,
      'more are refused',
      60_000,
    );
    expect(sent()).toBeGreaterThan(before.sent);
    expect(s.expect(s.ours('ovs-appctl', 'coverage/show'))).not.toMatch(/datapath_drop_(?!upcall_error)\w+ /);
  });

  it('has a PMD thread again after one died, when there is room', async () => {
    const thread = (): string =>
      /pmd-\S+/.exec(s.expect(s.ours('ovs-appctl', 'supervisor/show')))?.[0] ?? 'none';
    const died = thread();
    s.expect(s.ours('ovs-appctl', 'supervisor/kill', died));
    await waitFor(() => s.log().includes(`thread ${died} died`), 'the death is noticed');
    await waitFor(() => thread() !== 'none' && thread() !== died, 'a new thread', 60_000);
    const before = sent();
    await waitFor(() => sent() > before + flows, 'it forwards', 60_000);
    expect(s.log()).toMatch(/no new PMD thread yet: arena is full/);
  });
});
