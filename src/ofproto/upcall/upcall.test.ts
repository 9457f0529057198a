import { beforeEach, describe, expect, it } from 'vitest';
import { formatFlow } from '../../flow/match-format.ts';
import { frozenCount } from '../translate/frozen.ts';
import { UpcallBench } from '../testing/upcall-bench.ts';
import { decodePacketIn, encodePacketIn } from './packet-in-event.ts';
import { adaptFlowLimit } from './revalidator.ts';
import { deleteMegaflow, isLegalTransition, ukeyStates, ukeyTransition } from './ukey.ts';

const bridges = [
  {
    name: 'br0',
    ports: [
      { name: 'br0', ofp: 0xfffffffe, odp: 100 },
      ...[1, 2, 3].map((i) => ({ name: `p${i}`, ofp: i, odp: i })),
      { name: 'pa', ofp: 7, peer: { bridge: 'br1', ofp: 7 } },
    ],
  },
  {
    name: 'br1',
    ports: [
      { name: 'pb', ofp: 7, peer: { bridge: 'br0', ofp: 7 } },
      { name: 'q1', ofp: 1, odp: 11 },
    ],
  },
];
const tcp =
  'in_port=1,tcp,dl_src=50:54:00:00:00:01,dl_dst=50:54:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1,tcp_dst=80';

let b: UpcallBench;
beforeEach(() => {
  b = new UpcallBench(bridges);
});

describe('upcalls', () => {
  it('translate a miss, install a megaflow and send the packet', () => {
    const rule = b.addRule('br0', 'priority=5,ip,actions=2,3');
    expect(b.receive(tcp)).toEqual([2, 3]);
    expect(b.describe()).toEqual(['0 2,3 2']);
    expect(b.packets(rule)).toBe(1);
    expect(b.receive(tcp)).toEqual([2, 3]);
    expect(b.describe()).toEqual(['1 2,3 2']);
    // Hits are credited by revalidators.
    expect(b.packets(rule)).toBe(1);
  });

  it('cover other packets that the mask allows', () => {
    b.addRule('br0', 'priority=5,ip,actions=2');
    b.receive(tcp);
    expect(b.receive(tcp.replace('tcp_dst=80', 'tcp_dst=81'))).toEqual([2]);
    expect(b.flows()).toHaveLength(1);
  });

  it('match exactly while megaflows are disabled', () => {
    b.addRule('br0', 'priority=5,ip,actions=2');
    b.udpif.megaflowsEnabled = false;
    b.receive(tcp);
    b.receive(tcp.replace('tcp_dst=80', 'tcp_dst=81'));
    expect(b.flows()).toHaveLength(2);
  });

  it('install nothing over the flow limit, and forward all the same', () => {
    b.addRule('br0', 'priority=5,ip,actions=2');
    b.udpif.setFlowLimit(0);
    expect(b.receive(tcp)).toEqual([2]);
    expect(b.flows()).toEqual([]);
  });

  it("drop packets of ports that are no bridge's", () => {
    expect(b.receive(tcp.replace('in_port=1', 'in_port=99'))).toEqual([]);
    expect(b.flows()).toEqual([]);
  });

  it('cache the drop of a loop', () => {
    b.addRule('br0', 'priority=5,actions=resubmit:1');
    expect(b.receive(tcp)).toEqual([]);
    expect(b.describe()).toEqual(['0 drop 2']);
    expect(b.receive(tcp)).toEqual([]);
    expect(b.describe()).toEqual(['1 drop 2']);
  });

  it('send packets to the controllers with their metadata', () => {
    b.addRule('br0', 'priority=5,cookie=0x77,ip,actions=load:9->NXM_NX_REG3[],resubmit(,4)');
    b.addRule('br0', 'table=4,cookie=0x78,actions=controller(max_len=64,id=5,userdata=01.02),3');
    for (let i = 1; i <= 3; i++) {
      expect(b.receive(tcp)).toEqual([3]);
      expect(b.packetIns).toHaveLength(i);
    }
    const [first, , third] = b.packetIns;
    if (first === undefined || third === undefined) throw new Error('packet-ins are missing');
    const { bridgeId, event } = third;
    expect(bridgeId).toBe(1);
    expect(event).toMatchObject({
      reason: 'action',
      tableId: 4,
      cookie: 0x78n,
      controllerId: 5,
      maxLen: 64,
      miss: 'none',
    });
    expect([...(event.userdata ?? [])]).toEqual([1, 2]);
    expect(formatFlow(event.flow)).toContain('reg3=0x9,in_port=1,');
    expect(new DataView(event.packet.buffer).getUint16(12)).toBe(0x0800);
    expect(decodePacketIn(encodePacketIn(first))).toEqual(first);
  });

  it('send misses to the controllers when they want them', () => {
    b = new UpcallBench(bridges.map((bridge) => ({ ...bridge, wantsPacketInOnMiss: true })));
    expect(b.receive(tcp)).toEqual([]);
    expect(b.packetIns[0]?.event).toMatchObject({ reason: 'no_match', miss: 'implicit', tableId: 0 });
  });

  it('call a hit of a table-miss flow explicit', () => {
    b.addRule('br0', 'priority=0,actions=controller');
    b.receive(tcp);
    expect(b.packetIns[0]?.event).toMatchObject({ reason: 'no_match', miss: 'explicit' });
  });

  it('learn addresses before the next packet', () => {
    b.addRule('br0', 'priority=0,actions=NORMAL');
    expect(b.receive(tcp)).toEqual([2, 3, 100]);
    const back =
      'in_port=2,tcp,dl_src=50:54:00:00:00:02,dl_dst=50:54:00:00:00:01,nw_src=10.0.0.2,nw_dst=10.0.0.1,nw_ttl=64';
    expect(b.receive(back)).toEqual([1]);
  });

  it('go through the slow path when actions ask for it', () => {
    const rule = b.addRule('br0', 'priority=5,actions=debug_slow,3');
    expect(b.receive(tcp)).toEqual([3]);
    expect(b.describe()[0]).toContain('slow_path(action)');
    expect(b.receive(tcp)).toEqual([3]);
    b.startRevalidators(1);
    b.settle();
    expect(b.packets(rule)).toBe(2);
  });
});

describe('ukeys', () => {
  it("allow OVS's transitions only", () => {
    const names = Object.values(ukeyStates);
    const legal = names.flatMap((from) =>
      names.filter((to) => isLegalTransition(from, to)).map((to) => [from, to]),
    );
    expect(legal).toEqual([[0, 1], [1, 2], [1, 3], [2, 3], [3, 4], [4, 5]]); // prettier-ignore
  });

  it('refuse a transition that must not be', () => {
    b.addRule('br0', 'actions=2');
    b.receive(tcp);
    const [mf = 0] = b.flows();
    expect(() => ukeyTransition(b.core, mf, ukeyStates.VISIBLE)).toThrow('OPERATIONAL -> VISIBLE');
  });

  it('end once, credit their packets, and let go of rules and frozen states', () => {
    const rule = b.addRule('br0', 'priority=5,actions=controller,2');
    b.receive(tcp);
    b.receive(tcp);
    // The translator holds the states of its last result until it is used again.
    b.receive('in_port=99,arp');
    expect(frozenCount(b.core)).toBe(1);
    const [mf = 0] = b.flows();
    expect(deleteMegaflow(b.core, b.snapshots.get(), mf)).toBe(true);
    expect(deleteMegaflow(b.core, b.snapshots.get(), mf)).toBe(false);
    expect(b.packets(rule)).toBe(2);
    expect(b.flows()).toEqual([]);
  });
});

describe('revalidation', () => {
  for (const threads of [1, 3]) {
    describe(`with ${threads} threads`, () => {
      beforeEach(() => {
        b.startRevalidators(threads);
        b.settle();
      });

      it('credits hits to rules within a round', () => {
        const first = b.addRule('br0', 'priority=5,ip,actions=resubmit(,3)');
        const second = b.addRule('br0', 'table=3,actions=2');
        for (let i = 0; i < 10; i++) b.receive(tcp);
        b.advance(500);
        expect([b.packets(first), b.packets(second)]).toEqual([10, 10]);
        b.advance(2000);
        expect(b.packets(first)).toBe(10);
      });

      it('deletes flows idle for longer than max-idle, with their statistics', () => {
        const rule = b.addRule('br0', 'priority=5,actions=2');
        b.receive(tcp);
        b.receive(tcp);
        b.advance(9500, 100);
        expect(b.flows()).toHaveLength(1);
        b.advance(1100, 100);
        expect(b.flows()).toEqual([]);
        expect(b.packets(rule)).toBe(2);
      });

      it('changes actions in place when rules change', () => {
        const rule = b.addRule('br0', 'priority=5,ip,actions=2');
        b.receive(tcp);
        const [before] = b.flows();
        b.setActions(rule, '3,2');
        b.advance(10);
        expect(b.flows()).toEqual([before]);
        expect(b.describe()).toEqual(['0 3,2 2']);
        expect(b.receive(tcp)).toEqual([2, 3]);
        // dec_ttl looks at fields that the old mask leaves open, so the flow cannot stay.
        b.setActions(rule, 'dec_ttl,3');
        b.advance(10);
        expect(b.flows()).toEqual([]);
        expect(b.receive(tcp)).toEqual([3]);
      });

      it('deletes flows whose mask has become too wide', () => {
        b.addRule('br0', 'priority=5,ip,actions=2');
        b.receive(tcp);
        b.addRule('br0', 'priority=6,tcp,tcp_dst=99,actions=3');
        b.advance(10);
        expect(b.flows()).toEqual([]);
        expect(b.receive(tcp)).toEqual([2]);
        expect(b.receive(tcp.replace('tcp_dst=80', 'tcp_dst=99'))).toEqual([3]);
      });

      it('sees a rule go within milliseconds, and no sooner than 5 ms after the last round', () => {
        const rule = b.addRule('br0', 'priority=5,actions=2');
        b.receive(tcp);
        b.advance(500, 1);
        b.clock.advance(5);
        b.removeRule(rule);
        b.settle();
        expect(b.describe()).toEqual(['0 drop 2']);
        const round = b.udpif.roundSeq;
        for (let ms = 0; ms < 4; ms++) {
          b.clock.advance(1);
          b.udpif.revalidate();
          b.settle();
        }
        expect(b.udpif.roundSeq).toBe(round);
        b.clock.advance(1);
        b.settle();
        expect(b.udpif.roundSeq).toBe(round + 1);
      });

      it('is woken once for any number of changes', () => {
        b.addRule('br0', 'priority=5,actions=2');
        b.receive(tcp);
        b.advance(20);
        const [leader] = b.revalidators;
        if (leader === undefined) throw new Error('no leader');
        const wakes = (): number => Atomics.load(b.core.i32, leader.waitAddress >>> 2);
        const rounds = b.udpif.roundSeq;
        const before = wakes();
        for (let i = 0; i < 100; i++) b.udpif.revalidate();
        expect(wakes()).toBe(before + 1);
        expect(leader.waitValue).toBe(before);
        b.settle();
        expect(b.udpif.roundSeq).toBe(rounds + 1);
        // Asked again too early: it knows when to look, and is not woken.
        b.udpif.revalidate();
        b.settle();
        const known = wakes();
        for (let i = 0; i < 100; i++) b.udpif.revalidate();
        expect(wakes()).toBe(known);
        expect(leader.wakeAtMs).toBeLessThanOrEqual(b.clock.nowMs() + 5);
        b.advance(5);
        expect(b.udpif.roundSeq).toBe(rounds + 2);
        expect(wakes()).toBeGreaterThan(known);
      });

      it('refreshes MAC entries with the traffic', () => {
        b.addRule('br0', 'actions=NORMAL');
        const mac = b.bridges[0]?.macTable ?? 0;
        b.receive(tcp);
        for (let i = 0; i < 40; i++) {
          b.receive(tcp);
          b.advance(10_000, 500);
          b.core.x.macTableAge(mac, b.clock.nowMs());
        }
        expect(
          b.receive(
            tcp
              .replace('in_port=1', 'in_port=2')
              .replace('00:01,dl_dst=50:54:00:00:00:02', '00:09,dl_dst=50:54:00:00:00:01'),
          ),
        ).toEqual([1]);
      });

      it('counts what goes through patch ports', () => {
        const other = new UpcallBench(bridges);
        const [tx = 0, rx = 0] = [0, 1].map(() => other.core.x.alloc(32) >>> 0);
        other.bridges.forEach((bridge, i) => {
          const counters = i === 0 ? tx : rx;
          other.bridges[i] = { ...bridge, ports: bridge.ports.map((p) => (p.peer ? { ...p, counters } : p)) };
        });
        other.publish();
        other.addRule('br0', 'actions=7');
        other.addRule('br1', 'actions=1');
        other.startRevalidators(threads);
        for (let i = 0; i < 4; i++) expect(other.receive(tcp)).toEqual([11]);
        other.advance(600);
        const read = (address: number, n: number): number =>
          Number(other.core.dv.getBigUint64(address + 8 * n, true));
        expect([read(tx, 2), read(rx, 0)]).toEqual([4, 4]);
      });

      it('ends the deletion that a dead thread began', () => {
        const rule = b.addRule('br0', 'actions=2');
        b.receive(tcp);
        b.receive(tcp);
        const [mf = 0] = b.flows();
        b.core.x.megaflowTryRef(mf);
        ukeyTransition(b.core, mf, ukeyStates.EVICTING);
        b.advance(1200, 100);
        expect(b.flows()).toEqual([]);
        expect(b.packets(rule)).toBe(2);
      });

      it('purges on request', () => {
        b.addRule('br0', 'actions=2');
        b.receive(tcp);
        b.clock.advance(5);
        b.udpif.purge();
        b.settle();
        expect(b.udpif.purged).toBe(true);
        expect(b.flows()).toEqual([]);
      });

      it('stands still while paused', () => {
        b.udpif.pause();
        b.settle();
        expect(b.udpif.paused).toBe(true);
        const rule = b.addRule('br0', 'actions=2');
        b.receive(tcp);
        b.removeRule(rule);
        b.advance(2000, 100);
        expect(b.describe()).toEqual(['0 2 2']);
        b.udpif.resume();
        b.settle();
        expect(b.describe()).toEqual(['0 drop 2']);
        b.udpif.pause();
        b.udpif.purge();
        b.advance(10);
        expect(b.flows()).toEqual([]);
      });

      it('answers revalidator/wait with a whole round', () => {
        const target = b.udpif.waitTarget();
        expect(b.udpif.roundSeq).not.toBe(target);
        b.clock.advance(5);
        b.settle();
        expect(b.udpif.roundSeq).toBe(target);
      });

      it('drops to 100 ms of idleness above the limit, and deletes all above twice of it', () => {
        b.addRule('br0', 'priority=5,tcp,tcp_dst=80,actions=2');
        const send = (n: number): void => {
          for (let i = 0; i < n; i++) b.receive(tcp.replace('tcp_dst=80', `tcp_dst=${0x8000 >>> i}`));
        };
        send(3);
        const n = b.flows().length;
        expect(n).toBeGreaterThan(2);
        b.udpif.setFlowLimit(n - 1);
        b.clock.advance(50);
        b.udpif.waitTarget();
        b.settle();
        expect(b.flows()).toHaveLength(n);
        b.udpif.setFlowLimit(n - 1);
        b.clock.advance(60);
        b.udpif.waitTarget();
        b.settle();
        expect(b.flows()).toEqual([]);
        send(3);
        b.udpif.setFlowLimit(1);
        b.clock.advance(5);
        b.udpif.waitTarget();
        b.settle();
        expect(b.flows()).toEqual([]);
      });

      it('leaves at once when the threads change, and the next ones go on', () => {
        const rule = b.addRule('br0', 'actions=2');
        for (let i = 0; i < 3; i++) b.receive(tcp);
        b.clock.advance(5);
        const old = b.revalidators;
        old[0]?.step(b.clock.nowMs());
        b.startRevalidators(2);
        for (const r of old) r.step(b.clock.nowMs());
        expect(old.map((r) => r.exited)).toEqual(old.map(() => true));
        b.settle();
        expect(b.packets(rule)).toBe(3);
      });

      it('credits and frees the flows of a PMD that has ended', () => {
        const rule = b.addRule('br0', 'actions=2');
        for (let i = 0; i < 3; i++) b.receive(tcp);
        b.udpif.retirePmd(b.pmd);
        b.advance(20);
        expect(b.packets(rule)).toBe(3);
        expect(b.udpif.pmdSlot(0)).toBe(0);
      });
    });
  }

  it('deletes a flow that sees few packets when rounds are long', () => {
    b = new UpcallBench(bridges, { maxRevalidatorMs: 1, minRevalidatePps: 5 });
    b.startRevalidators(1);
    b.addRule('br0', 'actions=2');
    b.receive(tcp);
    b.receive(tcp);
    b.advance(100);
    b.clock.advance(1000);
    b.settle();
    b.udpif.revalidate();
    b.clock.advance(1000);
    b.settle();
    expect(b.flows()).toEqual([]);
  });

  it('adapts the limit as OVS does', () => {
    expect(adaptFlowLimit(10_000, 4000, 100, 200_000)).toBe(2500);
    expect(adaptFlowLimit(10_000, 1500, 100, 200_000)).toBe(7500);
    expect(adaptFlowLimit(10_000, 500, 9000, 200_000)).toBe(11_000);
    expect(adaptFlowLimit(10_000, 500, 100, 200_000)).toBe(10_000);
    expect(adaptFlowLimit(1200, 1500, 100, 200_000)).toBe(1000);
    expect(adaptFlowLimit(10_000, 10, 9000, 10_500)).toBe(10_500);
  });

  it('prints upcall/show', () => {
    b.startRevalidators(2);
    b.addRule('br0', 'actions=2');
    b.receive(tcp);
    b.settle();
    expect(b.udpif.show('dummy@ovs-dummy').replace(/keys [01]/g, 'keys N')).toBe(
      'dummy@ovs-dummy:\n  flows         : (current 1) (avg 0) (max 1) (limit 10000)\n' +
        '  dump duration : 1ms\n  ufid enabled : true\n\n  0: (keys N)\n  1: (keys N)\n',
    );
  });
});
