import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SwitchUnderTest, waitFor } from '../support/daemons.ts';
import { missing } from '../support/tools.ts';

/**
 * PMD threads, receive queues and what they tell, of ours and of the stock switch: eight cores on two NUMA
 * nodes (--dummy-numa), dummy-pmd ports. Texts are equal but for measured numbers, and so are the lines of the log.
 */
const skip = missing({ tools: ['ovs-vsctl', 'ovs-ofctl', 'ovs-appctl', 'ovs-vswitchd', 'ovsdb-server'] });

const packet =
  'in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),' +
  'ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)';

/** Measured numbers and their padding become N. */
function mask(text: string): string {
  return text
    .replace(/\d\d:\d\d:\d\d\.\d+/g, 'TIME')
    .replace(/(usage:|overhead:|cycles) *(NOT AVAIL|\d+ %|\d+(?=\)))/g, '$1 N')
    .split('\n')
    .map((line) => {
      if (/^ {3}[\d>]/.test(line)) return maskHistogram(line);
      return /cycles|terations|Sleep|duration|Rx packets: .*K|Tx packets: .*K/.test(line)
        ? line.replace(/ *-?(?:\bnan\b|\b\d[\d.]*)/g, ' N').replace(/( N){2,}/g, ' N')
        : line;
    })
    .join('\n');
}

/** Of a histogram's row only the bounds stay; of averages and histories, nothing. */
function maskHistogram(line: string): string {
  const cells = line.trim().split(/ +/);
  if (cells.length !== 14) return `row of ${cells.length}`;
  return cells.filter((_, i) => i % 2 === 0).join(' ');
}

/** What dpif_netdev, dpif, ofproto and pmd_perf log of PMDs, in order. */
function pmdLog(log: string): string[] {
  return log
    .split('\n')
    .map((line) => line.replace(/^[^|]*\|\d+\|/, '').replace(/cycles \d+/, 'cycles N'))
    .filter((line) => /^(dpif_netdev|dpif|ofproto|pmd_perf|ovs_numa|netdev_dummy)\|/.test(line))
    .filter((line) => !/Discovered \d|Suspicious|Neighborhood/.test(line));
}

async function observe(kind: 'ours' | 'stock'): Promise<{ texts: string; log: string[] }> {
  const s = await SwitchUnderTest.start(kind, [
    '--enable-dummy',
    '--disable-system',
    '--dummy-numa',
    '0,0,0,0,1,1,1,1',
  ]);
  const texts: string[] = [];
  const set = (...words: string[]): void => {
    s.stockOk('ovs-vsctl', ...words);
  };
  const show = (command: string, ...words: string[]): void => {
    const ran = s.stock('ovs-appctl', `dpif-netdev/${command}`, ...words);
    texts.push(`$ ${command} ${words.join(' ')}: ${ran.status}\n${mask(ran.stdout)}${ran.stderr}`);
  };
  const receive = (port: string, ...words: string[]): void => {
    s.stockOk('ovs-appctl', 'netdev-dummy/receive', port, ...words, packet);
  };
  try {
    show('pmd-rxq-show');
    // Which packets enter the EMC is chance.
    s.stockOk('ovs-vsctl', 'set', 'open', '.', 'other_config:emc-insert-inv-prob=0');
    set('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=dummy');
    set('add-port', 'br0', 'p1', '--', 'set', 'int', 'p1', 'type=dummy-pmd', 'options:n_rxq=4');
    set('add-port', 'br0', 'p2', '--', 'set', 'int', 'p2', 'type=dummy-pmd', 'options:numa_id=1');
    set('add-port', 'br0', 'p3', '--', 'set', 'int', 'p3', 'type=dummy');
    s.stockOk('ovs-ofctl', 'add-flow', 'br0', 'actions=NORMAL');
    show('pmd-rxq-show');
    show('pmd-perf-show', '-nh');
    set('set', 'open', '.', 'other_config:pmd-cpu-mask=ff');
    show('pmd-rxq-show');
    for (const mode of ['roundrobin', 'group']) {
      set('set', 'open', '.', `other_config:pmd-rxq-assign=${mode}`);
      show('pmd-rxq-show');
    }
    set('set', 'int', 'p1', 'other_config:pmd-rxq-affinity="0:3,1:7"');
    show('pmd-rxq-show');
    set('set', 'open', '.', 'other_config:pmd-rxq-isolate=false');
    show('pmd-rxq-show');
    set('set', 'open', '.', 'other_config:pmd-rxq-assign=cycles');
    show('pmd-rxq-show');
    set('set', 'int', 'p1', 'other_config:pmd-rxq-affinity="0:30,x:7"');
    set('set', 'open', '.', 'other_config:pmd-cpu-mask=3');
    show('pmd-rxq-show');
    set('set', 'int', 'p1', 'options:n_rxq=2');
    show('pmd-rxq-show');
    const refused = s.stock('ovs-appctl', 'netdev-dummy/receive', 'p1', '--qid', '2', packet);
    texts.push(`${refused.status} ${refused.stderr}`);
    set('set', 'int', 'p1', 'other_config:pmd-rxq-affinity=""');
    set('set', 'int', 'p1', 'options:n_rxq=4');
    set('set', 'open', '.', 'other_config:pmd-cpu-mask=ff');
    show('pmd-rxq-show');
    // From here on loads are measured, and must not decide over anything that is compared.
    set('set', 'open', '.', 'other_config:pmd-rxq-assign=roundrobin');
    for (let i = 0; i < 5; i++) {
      receive('p1', '--qid', '2');
      receive('p3');
    }
    const received = (core: string): string =>
      /packets received: (\d+)/.exec(
        s.stockOk('ovs-appctl', 'dpif-netdev/pmd-stats-show', ...core.split(' ')),
      )?.[1] ?? '';
    await waitFor(() => received('-pmd 2') === '5', 'the PMD has forwarded');
    await waitFor(() => s.stockOk('ovs-appctl', 'dpctl/show').includes('hit:8'), 'main has forwarded');
    for (const core of ['0', '2', '9', 'x']) {
      show('pmd-stats-show', '-pmd', core);
      show('pmd-perf-show', '-nh', '-pmd', core);
    }
    set('set', 'open', '.', 'other_config:pmd-perf-metrics=true');
    for (let i = 0; i < 3; i++) receive('p1', '--qid', '2');
    await waitFor(() => received('-pmd 2') === '8', 'three more');
    show('pmd-perf-show', '-pmd', '2');
    show('pmd-perf-show', '-it', '2', '-nh', '-pmd', '2');
    show('pmd-perf-show', '-pmd', '2', '-it', '2');
    show('pmd-stats-show', 'zz');
    show('pmd-stats-show', 'dummy@ovs-dummy');
    show('pmd-stats-clear', '-pmd', '2');
    show('pmd-stats-show', '-pmd', '2');
    for (const secs of ['0', '7', '600', 'x']) show('pmd-rxq-show', '-pmd', '2', '-secs', secs);
    show('pmd-rxq-rebalance', 'zz');
    show('pmd-rxq-rebalance');
    const perfLogs = [
      '',
      'off -b 3 -a 4 -e -us 100 -q 5',
      'off -ne',
      'foo',
      '-b',
      '-b x',
      '-b 1000',
      '-us -4',
    ];
    for (const words of perfLogs) show('pmd-perf-log-set', ...words.split(' ').filter((w) => w !== ''));
    set('set', 'open', '.', 'other_config:pmd-perf-metrics=false');

    set('set', 'open', '.', 'other_config:pmd-cpu-mask=zz');
    show('pmd-rxq-show');
    set('set', 'open', '.', 'other_config:pmd-cpu-mask=f');
    set('set', 'open', '.', 'other_config:pmd-auto-lb=true');
    set('set', 'open', '.', 'other_config:pmd-auto-lb-load-threshold=50');
    set('set', 'open', '.', 'other_config:pmd-maxsleep=50');
    set('del-port', 'p1');
    set('del-port', 'p2');
    show('pmd-rxq-show');
    // The stock switch writes its log file in the background: after its exit all is there.
    s.stockOk('ovs-appctl', 'exit');
    await waitFor(() => !existsSync(join(s.rundir, 'ovs-vswitchd.pid')), 'the switch has ended');
    return { texts: texts.join('\n'), log: pmdLog(s.log()) };
  } finally {
    await s.stop();
  }
}

describe.skipIf(skip !== null)('PMD threads', () => {
  it('take queues and tell of themselves as the stock ones', async () => {
    const stock = await observe('stock');
    const ours = await observe('ours');
    expect(ours.texts).toBe(stock.texts);
    // A set of lines: threads come and go in any order, and how often OVS repeats itself varies.
    const unique = (lines: readonly string[]): string[] => [...new Set(lines)].sort();
    expect(unique(ours.log)).toEqual(unique(stock.log));
  });
});
