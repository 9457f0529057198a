import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMatchText } from '../flow/match-parse.ts';
import type { Action } from '../openflow/actions.ts';
import { encodeOne } from '../openflow/codec.ts';
import type { OfpMessage } from '../openflow/messages.ts';
import { noFlowModFlags } from '../openflow/messages.ts';
import { OFPG_ANY, OFPP_NONE, OFP_NO_BUFFER } from '../openflow/ports.ts';
import type { DatapathId, OfpPort } from '../util/brand.ts';
import { Ofproto } from './ofproto.ts';
import { TestDependencies } from './testing/bench.ts';
import { TestController } from './testing/controller.ts';

/** Mutated requests of every kind: an answer or silence, never an exception, and the connection serves on. */
const output: Action = { kind: 'output', port: 1 as OfpPort, maxLen: 0 };
const match = parseMatchText('tcp,nw_dst=10.0.0.0/8,tp_dst=80');
const wide = { cookie: 0n, cookieMask: 0n, outPort: OFPP_NONE, outGroup: OFPG_ANY, tableId: 0 };
const seeds: readonly OfpMessage[] = [
  {
    type: 'flow_mod',
    command: 'add',
    match,
    priority: 5,
    newCookie: 1n,
    modifyCookie: false,
    idleTimeoutSec: 1,
    hardTimeoutSec: 2,
    bufferId: OFP_NO_BUFFER,
    flags: noFlowModFlags,
    importance: 0,
    ...wide,
    actions: [
      { kind: 'set_ipv4_dst', ipv4: 5 },
      { kind: 'dec_ttl', controllerIds: [0], raw: 'dec_ttl' },
      { kind: 'resubmit', inPort: 1 as OfpPort, tableId: 3, withCtOrig: false, raw: 'resubmit_table' },
      output,
    ],
  },
  {
    type: 'packet_out',
    bufferId: OFP_NO_BUFFER,
    packet: new Uint8Array(60),
    metadata: parseMatchText('in_port=1'),
    actions: [output],
  },
  { type: 'flow_stats_request', match, ...wide },
  { type: 'aggregate_stats_request', match, ...wide },
  {
    type: 'port_mod',
    port: 1 as OfpPort,
    hwAddr: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, 1),
    config: 1,
    mask: 1,
    advertise: 0,
  },
  { type: 'port_stats_request', port: OFPP_NONE },
  { type: 'queue_stats_request', port: OFPP_NONE, queueId: 0xffffffff },
  { type: 'desc_request' },
  { type: 'table_stats_request' },
  { type: 'role_request', role: 'master', generationId: 1n },
  { type: 'set_config', frag: 'normal', invalidTtlToController: null, missSendLen: 128 },
  { type: 'nx_set_packet_in_format', format: 'nxt_packet_in2' },
  { type: 'nx_flow_mod_table_id', enable: true },
  { type: 'echo_request', data: Uint8Array.of(1, 2, 3) },
];

const deps = new TestDependencies();
const ofproto = new Ofproto('br0', 1, 1n as DatapathId, deps);
ofproto.addPort(
  { name: 'p1', mac: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, 1), mtu: 1500, adminUp: true, carrier: true },
  1,
);
ofproto.setControllers([{ target: 'punix:br0.mgmt', type: 'service', inactivityProbeSec: 0 }]);

const mutation = fc.record({
  at: fc.nat(300),
  value: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)),
});

test.each([1, 3, 4, 5])('version %i', (version) => {
  const requests = seeds.map((message) => encodeOne(message, 7, { version, flowFormat: 'nxm' }));
  const controller = TestController.connect(ofproto, deps, version);
  fc.assert(
    fc.property(
      fc.nat(requests.length - 1),
      fc.array(mutation, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 0, max: 400 }),
      (index, mutations, cut) => {
        const whole = requests[index] ?? new Uint8Array(8);
        const bytes = whole.slice(0, cut < 8 ? whole.length : Math.max(8, Math.min(cut, whole.length)));
        for (const { at, value } of mutations) bytes[at % bytes.length] = value;
        // Framing stays right: broken framing is the connection's end, and is tested elsewhere.
        bytes[2] = bytes.length >> 8;
        bytes[3] = bytes.length & 255;
        controller.raw(bytes);
        expect(controller.request({ type: 'barrier_request' }).map((m) => m.type)).toEqual(['barrier_reply']);
        deps.core.x.quiesce();
      },
    ),
    { numRuns: 3000, seed: 42 + version },
  );
});
