import { beforeEach, describe, expect, test } from 'vitest';
import { KEY_SIZE } from '../flow/key.layout.ts';
import { KeyLayout } from '../flow/generated/key.ts';
import { parseMatchText } from '../flow/match-parse.ts';
import type { Action } from '../openflow/actions.ts';
import type { FlowMod, FlowStatsRequest, OfpMessage } from '../openflow/messages.ts';
import { noFlowModFlags, PortConfig } from '../openflow/messages.ts';
import { OFPG_ANY, OFPP_LOCAL, OFPP_NONE, OFP_NO_BUFFER } from '../openflow/ports.ts';
import type { DatapathId, OfpPort } from '../util/brand.ts';
import { Ofproto } from './ofproto.ts';
import type { OfPortDescription, PacketInEvent } from './ofproto-types.ts';
import { TestDependencies } from './testing/bench.ts';
import { TestController } from './testing/controller.ts';

const mgmt = { target: 'punix:br0.mgmt', type: 'service', inactivityProbeSec: 0 } as const;
const output = (port: number): Action => ({ kind: 'output', port: port as OfpPort, maxLen: 0 });
const allOnes = 0xffff_ffff_ffff_ffffn;

function device(name: string, last: number, more: Partial<OfPortDescription> = {}): OfPortDescription {
  return {
    name,
    mac: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, last),
    mtu: 1500,
    adminUp: true,
    carrier: true,
    ...more,
  };
}
function flowMod(text: string, more: Partial<FlowMod> = {}): FlowMod {
  return {
    type: 'flow_mod',
    command: 'add',
    match: parseMatchText(text),
    priority: 32768,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: 0n,
    modifyCookie: false,
    tableId: 0,
    idleTimeoutSec: 0,
    hardTimeoutSec: 0,
    bufferId: OFP_NO_BUFFER,
    outPort: OFPP_NONE,
    outGroup: OFPG_ANY,
    flags: noFlowModFlags,
    importance: 0,
    actions: [],
    ...more,
  };
}
const flowStats: FlowStatsRequest = {
  type: 'flow_stats_request',
  match: parseMatchText(''),
  cookie: 0n,
  cookieMask: 0n,
  outPort: OFPP_NONE,
  outGroup: OFPG_ANY,
  tableId: 0xff,
};
function packetIn(more: Partial<PacketInEvent> = {}): PacketInEvent {
  const flow = new Uint8Array(KEY_SIZE);
  new DataView(flow.buffer).setUint32(KeyLayout.inPort, 1);
  return {
    packet: new Uint8Array(60).fill(7),
    flow,
    reason: 'action',
    tableId: 3,
    cookie: 5n,
    controllerId: 0,
    maxLen: 0xffff,
    miss: 'none',
    ...more,
  };
}

let deps: TestDependencies;
let ofproto: Ofproto;

beforeEach(() => {
  deps = new TestDependencies();
  ofproto = new Ofproto('br0', 1, 0x1234n as DatapathId, deps);
  ofproto.addPort(device('br0', 0));
  ofproto.addPort(device('p1', 1), 1);
  ofproto.addPort(device('p7', 7), 7);
  ofproto.setControllers([mgmt]);
});

const tool = (version = 4): TestController => TestController.connect(ofproto, deps, version);
const errorsOf = (messages: OfpMessage[]): string[] =>
  messages.map((m) => (m.type === 'error' ? m.error : m.type));
function flows(controller: TestController): string[] {
  return controller
    .request(flowStats)
    .flatMap((m) => (m.type === 'flow_stats_reply' ? m.flows : []))
    .map((f) => `${f.tableId} ${f.priority} ${f.cookie} ${f.actions.map((a) => a.kind).join()}`);
}
function seconds(n: number): void {
  for (let i = 0; i < n; i++) {
    deps.clock.advance(1000);
    ofproto.run(deps.clock.nowMs());
    deps.core.x.quiesce();
  }
}

describe('ports', () => {
  test('numbers: LOCAL, as requested, else the next that was not used lately', () => {
    expect(ofproto.portByName('br0')?.ofport).toBe(OFPP_LOCAL);
    expect(ofproto.addPort(device('a', 2), 7)).toBe(2);
    expect(ofproto.addPort(device('b', 3))).toBe(3);
    ofproto.delPort(2 as OfpPort);
    expect(ofproto.addPort(device('c', 4))).toBe(4);
    expect(ofproto.addPort(device('d', 4), 2)).toBe(2);
  });

  test('adding, changing and deleting is told to controllers', () => {
    ofproto.setControllers([mgmt, { target: 'tcp:1.1.1.1:6653' }]);
    const c = TestController.answer(ofproto, deps, 4);
    ofproto.addPort(device('n', 9), 9);
    ofproto.updatePort(9 as OfpPort, device('n', 9));
    ofproto.updatePort(9 as OfpPort, device('n', 9, { carrier: false }));
    ofproto.delPort(9 as OfpPort);
    const told = c
      .take()
      .map((m) => (m.type === 'port_status' ? `${m.reason} ${m.desc.name} ${m.desc.state}` : m.type));
    expect(told).toEqual(['add n 4', 'modify n 1', 'delete n 1']);
  });

  test('port_mod changes what may be changed and checks the address', () => {
    const c = tool();
    const mod = {
      type: 'port_mod',
      port: 1 as OfpPort,
      hwAddr: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, 1),
      advertise: 0,
    } as const;
    expect(c.request({ ...mod, config: PortConfig.PORT_DOWN, mask: PortConfig.PORT_DOWN })).toEqual([]);
    expect(deps.adminUp.get(1)).toBe(false);
    expect(ofproto.port(1 as OfpPort)?.config).toBe(PortConfig.PORT_DOWN);
    expect(errorsOf(c.request({ ...mod, hwAddr: new Uint8Array(6), config: 0, mask: 0 }))).toEqual([
      'OFPPMFC_BAD_HW_ADDR',
    ]);
    expect(errorsOf(c.request({ ...mod, port: 99 as OfpPort, config: 0, mask: 0 }))).toEqual([
      'OFPPMFC_BAD_PORT',
    ]);
  });
});

describe('requests', () => {
  test('flow_mod, then flow statistics in 1.0 and 1.3', () => {
    for (const version of [1, 4]) {
      const c = tool(version);
      expect(c.request(flowMod('tcp', { newCookie: 9n, priority: 7, actions: [output(1)] }))).toEqual([]);
      expect(flows(c)).toEqual(['0 7 9 output']);
    }
  });

  test('long replies are split, and their parts say so', () => {
    const c = tool();
    for (let i = 0; i < 3000; i++) {
      c.request(flowMod('', { priority: i, newCookie: BigInt(i), actions: [output(1)] }));
    }
    const replies = c.request(flowStats);
    expect(replies.length).toBeGreaterThan(1);
    expect(replies.map((r) => (r.type === 'flow_stats_reply' ? r.more : r.type))).toEqual([
      ...replies.slice(1).map(() => true),
      false,
    ]);
    const cookies = replies.flatMap((r) =>
      r.type === 'flow_stats_reply' ? r.flows.map((f) => f.cookie) : [],
    );
    expect(new Set(cookies).size).toBe(3000);
  });

  test('an error repeats the request with its xid', () => {
    const c = tool();
    const request = Uint8Array.of(4, 99, 0, 12, 1, 2, 3, 4, 9, 9, 9, 9);
    c.raw(request);
    c.transport.send(request);
    ofproto.run(deps.clock.nowMs());
    const [reply] = c.received;
    expect(reply?.xid).toBe(0x01020304);
    expect(reply?.message).toMatchObject({ type: 'error', error: 'OFPBRC_BAD_TYPE', data: request });
  });

  test('groups and meters that do not exist are refused', () => {
    const c = tool();
    expect(errorsOf(c.request(flowMod('', { actions: [{ kind: 'group', groupId: 1 }] })))).toEqual([
      'OFPBAC_BAD_OUT_GROUP',
    ]);
    expect(errorsOf(c.request(flowMod('', { actions: [{ kind: 'meter', meterId: 1 }] })))).toEqual([
      'OFPMMFC_INVALID_METER',
    ]);
    expect(flows(c)).toEqual([]);
  });

  test('packet_out goes to the datapath with its port and actions', () => {
    const c = tool();
    const metadata = parseMatchText('in_port=7');
    const packet = new Uint8Array(60).fill(3);
    c.request({ type: 'packet_out', bufferId: OFP_NO_BUFFER, packet, metadata, actions: [output(1)] });
    expect(deps.packetOuts).toHaveLength(1);
    expect(deps.packetOuts[0]?.packet).toEqual(packet);
    expect(
      new DataView(deps.packetOuts[0]?.flow.buffer ?? new ArrayBuffer(8)).getUint32(KeyLayout.inPort),
    ).toBe(7);
    const buffered = {
      type: 'packet_out',
      bufferId: 4,
      packet: new Uint8Array(),
      metadata,
      actions: [],
    } as const;
    expect(errorsOf(c.request(buffered))).toEqual(['OFPBRC_BUFFER_UNKNOWN']);
  });
});

describe('controllers', () => {
  test('status rows follow the connection', () => {
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:6653' }]);
    expect(ofproto.controllerStatus()).toMatchObject([
      { isConnected: false, role: null, status: { state: 'CONNECTING' } },
    ]);
    const c = TestController.answer(ofproto, deps, 4);
    expect(ofproto.controllerStatus()).toMatchObject([
      { isConnected: true, status: { state: 'ACTIVE', sec_since_connect: '0' } },
    ]);
    c.request({ type: 'role_request', role: 'master', generationId: 1n });
    expect(ofproto.controllerStatus()[0]?.role).toBe('master');
    c.transport.close();
    ofproto.run(deps.clock.nowMs());
    expect(ofproto.controllerStatus()).toMatchObject([
      { isConnected: false, role: 'other', status: { state: 'BACKOFF' } },
    ]);
  });

  test('one master; slaves may look but not touch; old elections are refused', () => {
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1' }]);
    const a = TestController.answer(ofproto, deps, 4);
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1' }, { target: 'tcp:1.1.1.1:2' }]);
    const b = TestController.answer(ofproto, deps, 4);
    a.request({ type: 'role_request', role: 'master', generationId: 5n });
    expect(b.request({ type: 'role_request', role: 'master', generationId: 6n })).toMatchObject([
      { type: 'role_reply', role: 'master', generationId: 6n },
    ]);
    expect(errorsOf(a.request(flowMod('')))).toEqual(['OFPBRC_IS_SECONDARY']);
    expect(errorsOf(a.request({ type: 'role_request', role: 'master', generationId: 5n }))).toEqual([
      'OFPRRFC_STALE',
    ]);
    expect(flows(a)).toEqual([]);
    b.take();
    a.take();
    ofproto.packetIn(packetIn());
    expect([a.take().length, b.take().length]).toEqual([0, 1]);
  });

  test('packet-ins go by reason, version and controller id', () => {
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1' }]);
    const old = TestController.answer(ofproto, deps, 1);
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1' }, { target: 'tcp:1.1.1.1:2' }]);
    const modern = TestController.answer(ofproto, deps, 4);
    const reasons = (): (string | undefined)[] =>
      [old, modern].map(
        (c) => c.take().map((m) => (m.type === 'packet_in' ? `${m.reason} ${m.totalLen}` : m.type))[0],
      );
    ofproto.packetIn(packetIn());
    expect(reasons()).toEqual(['action 60', 'action 60']);
    ofproto.packetIn(packetIn({ miss: 'implicit', reason: 'no_match' }));
    expect(reasons()).toEqual(['no_match 60', undefined]);
    ofproto.packetIn(packetIn({ miss: 'explicit' }));
    expect(reasons()).toEqual(['action 60', 'no_match 60']);
    ofproto.packetIn(packetIn({ controllerId: 5 }));
    expect(reasons()).toEqual([undefined, undefined]);
    modern.request({ type: 'nx_set_controller_id', controllerId: 5 });
    ofproto.packetIn(packetIn({ controllerId: 5 }));
    expect(reasons()).toEqual([undefined, 'action 60']);
    expect(ofproto.wantsPacketInOnMiss()).toBe(true);
  });

  test('tools get asynchronous messages only after asking for packets', () => {
    const c = tool(1);
    ofproto.packetIn(packetIn());
    expect(c.take()).toEqual([]);
    c.request({ type: 'set_config', frag: 'normal', invalidTtlToController: null, missSendLen: 128 });
    ofproto.packetIn(packetIn());
    expect(c.take().map((m) => m.type)).toEqual(['packet_in']);
  });

  test('a controller that does not read loses packet-ins, not replies', () => {
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1' }]);
    const c = TestController.answer(ofproto, deps, 4);
    const own = deps.connections.attempts.at(-1)?.transport;
    if (own === undefined) throw new Error('no transport');
    own.blocked = [];
    for (let i = 0; i < 10_000; i++) ofproto.packetIn(packetIn({ packet: new Uint8Array(1000) }));
    c.transport.send(Uint8Array.of(4, 20, 0, 8, 0, 0, 0, 1));
    ofproto.run(deps.clock.nowMs());
    own.unblock();
    const types = c.take().map((m) => m.type);
    expect(types.at(-1)).toBe('barrier_reply');
    expect(types.length).toBeLessThan(500);
  });

  test('flow_removed with the reason and the last statistics', () => {
    ofproto.setControllers([{ target: 'tcp:1.1.1.1:1', inactivityProbeSec: 0 }]);
    const c = TestController.answer(ofproto, deps, 4);
    const flags = { ...noFlowModFlags, sendFlowRem: true };
    c.request(flowMod('tcp', { flags, newCookie: 1n, idleTimeoutSec: 2 }));
    c.request(flowMod('udp', { flags, newCookie: 2n }));
    c.request(flowMod('arp', { newCookie: 3n }));
    const rule = [...ofproto.flowTables.all(0)].find((r) => ofproto.flowTables.rules.cookie(r) === 2n) ?? 0;
    deps.core.x.ruleCredit(rule, 4, 400, deps.clock.nowMs());
    seconds(4);
    c.transport.send(new Uint8Array());
    expect(c.take()).toMatchObject([
      { type: 'flow_removed', cookie: 1n, reason: 'idle', durationMs: 3000, idleTimeoutSec: 2 },
    ]);
    expect(c.request(flowMod('', { command: 'delete' }))).toMatchObject([
      { type: 'flow_removed', cookie: 2n, reason: 'delete', packetCount: 4n, byteCount: 400n },
    ]);
  });

  test('changed protocols make everybody connect again', () => {
    ofproto.setControllers([mgmt, { target: 'tcp:1.1.1.1:1' }]);
    const c = TestController.answer(ofproto, deps, 4);
    ofproto.setProtocols(['OpenFlow10']);
    expect(c.closed).toBe(true);
    expect(TestController.answer(ofproto, deps, 4).transport.connected).toBe(true);
    expect(ofproto.connmgr.conns()[0]?.version).toBe(1);
  });
});

describe('fail mode', () => {
  const rules = (): string[] => ofproto.dumpFlows().filter((line) => !line.startsWith('table_id=254'));

  test('secure leaves the tables empty, standalone without controllers forwards as a learning switch', () => {
    expect(rules()).toEqual([]);
    ofproto.setFailMode('standalone');
    expect(rules()).toEqual(['duration=0s, n_packets=0, n_bytes=0, priority=0,actions=NORMAL']);
    ofproto.setControllers([mgmt, { target: 'tcp:1.1.1.1:1' }]);
    expect(rules()).toEqual([]);
    ofproto.setControllers([mgmt]);
    expect(rules()).toHaveLength(1);
    ofproto.setFailMode('secure');
    expect(rules()).toEqual([]);
  });

  test('standalone fails open after three probe intervals and recovers when a controller admits the switch', () => {
    ofproto.setFailMode('standalone');
    ofproto.setControllers([mgmt, { target: 'tcp:1.1.1.1:1' }]);
    tool().request(flowMod('tcp'));
    seconds(14);
    expect(rules()).toEqual(['duration=14s, n_packets=0, n_bytes=0, tcp,actions=drop']);
    seconds(2);
    expect(rules()).toEqual(['duration=1s, n_packets=0, n_bytes=0, priority=15790320,actions=NORMAL']);
    expect(flows(tool())).toEqual([]);
    deps.connections.attempts.at(-1)?.transport.onClose('Connection refused');
    seconds(60);
    const c = TestController.answer(ofproto, deps, 4);
    c.request({ type: 'features_request' });
    expect(rules()).toHaveLength(1);
    c.request(flowMod('tcp', { newCookie: allOnes - 1n }));
    expect(rules().map((r) => r.slice(r.indexOf('tcp')))).toEqual(['tcp,actions=drop']);
  });
});

test('destroy hangs up, empties the tables and stops listening', () => {
  const c = tool();
  c.request(flowMod('tcp', { idleTimeoutSec: 5, actions: [output(1)] }));
  const { tablesPtr } = ofproto;
  expect(deps.core.dv.getUint32(tablesPtr, true)).not.toBe(0);
  ofproto.destroy();
  expect(c.closed).toBe(true);
  expect(deps.connections.listeners.size).toBe(0);
  expect(deps.core.dv.getUint32(tablesPtr, true)).toBe(0);
});
