import { createArena } from '../../src/arena/core.ts';
import { allocKey, writeKey } from '../../src/arena/keys.ts';
import { parseExactFlow } from '../../src/flow/match-parse.ts';
import { TranslationBench } from '../../src/ofproto/testing/translation-bench.ts';
import { UpcallBench } from '../../src/ofproto/testing/upcall-bench.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import type { XlateInput } from '../../src/ofproto/translate/types.ts';
import type { Benchmark, BenchmarkFactory } from './registry.ts';

const ports = [1, 2, 3, 4].map((i) => ({ name: `p${i}`, ofp: i, odp: i }));
const packet =
  'in_port=1,tcp,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1,tcp_dst=80';

/** Times translations of one flow through rules. */
function translation(
  name: string,
  rules: readonly string[],
  prepare?: (bench: TranslationBench) => void,
): BenchmarkFactory {
  return (): Benchmark => {
    const core = createArena({
      module: loadCoreModule(),
      sizeMb: 64,
      shared: true,
      seed: 1,
      threadName: 'bench',
    });
    core.x.threadOnline();
    const bench = new TranslationBench([{ name: 'br0', ports }], core);
    for (const rule of rules) bench.addRule('br0', rule);
    prepare?.(bench);
    const flow = allocKey(core);
    writeKey(core, flow, parseExactFlow(packet));
    const bridge = bench.snapshots.get().bridge('br0');
    if (bridge === undefined) throw new Error('bench: no bridge');
    const input: XlateInput = {
      bridge, flow, packet: 0, packets: 0, bytes: 0, usedMs: 1, tcpFlags: 0, allowSideEffects: false, wantXcache: true,
      wantWc: true, ofpacts: 0, ofpactsWords: 0, trace: null,
    }; // prettier-ignore
    const { translator } = bench;
    if (translator.translate(input).actionsLength === 0) throw new Error('bench: the flow is dropped');
    const operations = 1000;
    const run = (): void => {
      for (let i = 0; i < operations; i++) translator.translate(input);
    };
    return { name, unit: 'ns/translation', operations, run };
  };
}

const chain = Array.from({ length: 10 }, (_, i) =>
  i < 9
    ? `table=${i},ip,actions=load:${i}->NXM_NX_REG0[],resubmit(,${i + 1})`
    : 'table=9,ip,actions=output:2',
);
/** Ten tables of ten subtables each: what a pipeline of a controller is like. */
const wide = chain.flatMap((rule, table) => [
  rule,
  ...Array.from(
    { length: 9 },
    (_, i) =>
      `table=${table},priority=${40000 + i},tcp,tcp_dst=${1000 + i},nw_dst=10.9.0.0/${24 - i},actions=drop`,
  ),
]);

/** A round of one revalidator over flows that nothing happened to but a change of `revalSeq`. */
function revalidation(name: string, count: number, isChanged: boolean): BenchmarkFactory {
  return (): Benchmark => {
    const bench = new UpcallBench([{ name: 'br0', ports }]);
    bench.udpif.setFlowLimit(100_000);
    bench.addRule('br0', 'priority=5,tcp,actions=resubmit(,1)');
    bench.addRule('br0', 'table=1,priority=4,tcp,actions=move:NXM_OF_TCP_SRC[]->NXM_NX_REG0[0..15],2');
    for (let i = 1; i <= count; i++) bench.receive(packet.replace('tcp_src=1', `tcp_src=${i}`));
    if (bench.flows().length !== count) throw new Error('bench: flows are missing');
    bench.startRevalidators(1);
    bench.settle();
    const run = (): void => {
      if (isChanged) bench.udpif.revalidate();
      else bench.udpif.waitTarget();
      bench.clock.advance(5);
      bench.settle();
    };
    return { name, unit: 'ns/flow', operations: count, run };
  };
}

/** Misses one after the other: translate, install, execute. */
function upcalls(): Benchmark {
  const bench = new UpcallBench([{ name: 'br0', ports }]);
  bench.udpif.setFlowLimit(1_000_000);
  bench.addRule('br0', 'priority=5,tcp,actions=resubmit(,1)');
  // Each source port makes a megaflow of its own.
  bench.addRule('br0', 'table=1,priority=4,tcp,actions=move:NXM_OF_TCP_SRC[]->NXM_NX_REG0[0..15],2');
  const send = bench.sender(packet);
  const operations = 1000;
  let port = 0;
  const run = (): void => {
    for (let i = 0; i < operations; i++) send(port++ & 0xffff);
    bench.core.x.megaflowFlush(bench.pmd);
    bench.core.x.quiesce();
  };
  return { name: 'upcall: miss, translate, install, execute', unit: 'upcalls/s', operations, run };
}

export const benchmarks: readonly BenchmarkFactory[] = [
  translation('translate: output', ['priority=5,ip,actions=output:2']),
  translation('translate: set two fields, output', [
    'priority=5,tcp,actions=set_field:10.0.0.9->ip_dst,set_field:81->tcp_dst,output:2',
  ]),
  translation('translate: 10 tables by resubmit', chain),
  translation('translate: 10 tables of 10 subtables', wide),
  translation('translate: NORMAL, learned', ['priority=0,actions=NORMAL'], (bench) => {
    bench.trace('br0', 'in_port=2,arp,dl_src=50:54:00:00:00:02,dl_dst=50:54:00:00:00:01', '-generate');
  }),
  translation('translate: NORMAL, flooded', ['priority=0,actions=NORMAL']),
  upcalls,
  revalidation('revalidate: flow, rules unchanged', 10_000, false),
  revalidation('revalidate: flow, translated again', 10_000, true),
];
