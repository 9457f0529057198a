import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fields, type Field, type Subfield } from '../flow/fields.ts';
import type { Action, ActionKind, LearnSpec } from '../openflow/actions.ts';
import type { OfpPort } from '../util/brand.ts';
import { ofpactKindName, ofpactKinds } from './ofpact-kinds.ts';
import { decodeOfpacts, encodeOfpacts } from './ofpact-words.ts';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const port = u32.map((n) => n as OfpPort);
const bytes = (n: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: n, maxLength: n });
const someBytes = fc.uint8Array({ maxLength: 70 });
const field = fc.constantFrom<Field[]>(...fields);
const subfield: fc.Arbitrary<Subfield> = field.chain((f) =>
  fc
    .integer({ min: 0, max: f.bits - 1 })
    .chain((ofs) => fc.integer({ min: 1, max: f.bits - ofs }).map((nBits) => ({ field: f, ofs, nBits }))),
);
const hash = fc.constantFrom(
  'eth_src',
  'symmetric_l4',
  'symmetric_l3l4',
  'symmetric_l3l4+udp',
  'nw_src',
  'nw_dst',
  'symmetric_l3',
);

const learnSource = fc.oneof(
  subfield.map((src) => ({ type: 'field' as const, src })),
  someBytes.map((value) => ({ type: 'immediate' as const, value })),
);
const learnSpec: fc.Arbitrary<LearnSpec> = fc.oneof(
  fc.record({ dstType: fc.constantFrom('match', 'load'), nBits: u16, source: learnSource, dst: subfield }),
  fc.record({ dstType: fc.constant('output' as const), nBits: u16, source: learnSource }),
);

/** An arbitrary of each kind; the type makes sure that none is missing. */
const byKind: { [K in ActionKind]: fc.Arbitrary<Action & { kind: K }> } = {
  output: fc.record({ kind: fc.constant('output'), port, maxLen: u16 }),
  controller: fc.record({
    kind: fc.constant('controller'),
    maxLen: u16,
    reason: fc.constantFrom(
      'no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out', 'explicit_miss', 'implicit_miss',
    ), // prettier-ignore
    controllerId: u16,
    pause: fc.boolean(),
    userdata: someBytes,
    meterId: u32,
  }),
  enqueue: fc.record({ kind: fc.constant('enqueue'), port, queue: u32 }),
  output_reg: fc.record({ kind: fc.constant('output_reg'), src: subfield, maxLen: u16 }),
  output_trunc: fc.record({ kind: fc.constant('output_trunc'), port, maxLen: u32 }),
  group: fc.record({ kind: fc.constant('group'), groupId: u32 }),
  bundle: fc.record(
    {
      kind: fc.constant('bundle'),
      fields: hash,
      basis: u16,
      algorithm: fc.constantFrom('active_backup', 'hrw'),
      slaves: fc.array(port, { maxLength: 9 }),
      dst: subfield,
    },
    { requiredKeys: ['kind', 'fields', 'basis', 'algorithm', 'slaves'] },
  ),
  set_field: field.chain((f) =>
    fc.record({
      kind: fc.constant('set_field'),
      field: fc.constant(f),
      value: bytes(f.bytes),
      mask: bytes(f.bytes),
      raw: fc.constantFrom('set_field', 'load', 'load2'),
    }),
  ),
  reg_move: fc.record({ kind: fc.constant('reg_move'), src: subfield, dst: subfield }),
  stack_push: fc.record({ kind: fc.constant('stack_push'), subfield }),
  stack_pop: fc.record({ kind: fc.constant('stack_pop'), subfield }),
  strip_vlan: fc.record({ kind: fc.constant('strip_vlan'), raw: fc.constantFrom('strip_vlan', 'pop_vlan') }),
  push_vlan: fc.record({ kind: fc.constant('push_vlan'), ethertype: u16 }),
  set_vlan_vid: fc.record({
    kind: fc.constant('set_vlan_vid'),
    vid: u16,
    pushVlanIfNeeded: fc.boolean(),
    flowHasVlan: fc.boolean(),
  }),
  set_vlan_pcp: fc.record({
    kind: fc.constant('set_vlan_pcp'),
    pcp: u8,
    pushVlanIfNeeded: fc.boolean(),
    flowHasVlan: fc.boolean(),
  }),
  set_eth_src: fc.record({ kind: fc.constant('set_eth_src'), mac: bytes(6) }),
  set_eth_dst: fc.record({ kind: fc.constant('set_eth_dst'), mac: bytes(6) }),
  set_ipv4_src: fc.record({ kind: fc.constant('set_ipv4_src'), ipv4: u32 }),
  set_ipv4_dst: fc.record({ kind: fc.constant('set_ipv4_dst'), ipv4: u32 }),
  set_ip_dscp: fc.record({ kind: fc.constant('set_ip_dscp'), dscp: u8 }),
  set_ip_ecn: fc.record({ kind: fc.constant('set_ip_ecn'), ecn: u8 }),
  set_ip_ttl: fc.record({ kind: fc.constant('set_ip_ttl'), ttl: u8 }),
  set_l4_src_port: fc.record({ kind: fc.constant('set_l4_src_port'), port: u16, flowIpProto: u8 }),
  set_l4_dst_port: fc.record({ kind: fc.constant('set_l4_dst_port'), port: u16, flowIpProto: u8 }),
  dec_ttl: fc.record({
    kind: fc.constant('dec_ttl'),
    controllerIds: fc.array(u16, { maxLength: 5 }),
    raw: fc.constantFrom('dec_ttl', 'dec_ttl_cnt_ids'),
  }),
  set_mpls_label: fc.record({ kind: fc.constant('set_mpls_label'), label: u32 }),
  set_mpls_tc: fc.record({ kind: fc.constant('set_mpls_tc'), tc: u8 }),
  set_mpls_ttl: fc.record({ kind: fc.constant('set_mpls_ttl'), ttl: u8 }),
  push_mpls: fc.record({ kind: fc.constant('push_mpls'), ethertype: u16 }),
  pop_mpls: fc.record({ kind: fc.constant('pop_mpls'), ethertype: u16 }),
  set_tunnel: fc.record({ kind: fc.constant('set_tunnel'), tunId: u64, is64: fc.boolean() }),
  set_queue: fc.record({ kind: fc.constant('set_queue'), queueId: u32 }),
  fin_timeout: fc.record({ kind: fc.constant('fin_timeout'), idleTimeoutSec: u16, hardTimeoutSec: u16 }),
  resubmit: fc.record({
    kind: fc.constant('resubmit'),
    inPort: port,
    tableId: u8,
    withCtOrig: fc.boolean(),
    raw: fc.constantFrom('resubmit', 'resubmit_table', 'resubmit_table_ct'),
  }),
  learn: fc.record(
    {
      kind: fc.constant('learn'),
      idleTimeoutSec: u16,
      hardTimeoutSec: u16,
      priority: u16,
      cookie: u64,
      sendFlowRem: fc.boolean(),
      deleteLearned: fc.boolean(),
      tableId: u8,
      finIdleTimeoutSec: u16,
      finHardTimeoutSec: u16,
      limit: u32,
      resultDst: subfield,
      specs: fc.array(learnSpec, { maxLength: 6 }),
    },
    {
      requiredKeys: [
        'kind', 'idleTimeoutSec', 'hardTimeoutSec', 'priority', 'cookie', 'sendFlowRem', 'deleteLearned', 'tableId',
        'finIdleTimeoutSec', 'finHardTimeoutSec', 'limit', 'specs',
      ], // prettier-ignore
    },
  ),
  conjunction: fc.record({ kind: fc.constant('conjunction'), id: u32, clause: u8, nClauses: u8 }),
  multipath: fc.record({
    kind: fc.constant('multipath'),
    fields: hash,
    basis: u16,
    algorithm: fc.constantFrom('modulo_n', 'hash_threshold', 'hrw', 'iter_hash'),
    maxLink: u16,
    arg: u32,
    dst: subfield,
  }),
  note: fc.record({ kind: fc.constant('note'), data: someBytes }),
  sample: fc.record({
    kind: fc.constant('sample'),
    probability: u16,
    collectorSetId: u32,
    obsDomainId: u32,
    obsPointId: u32,
    samplingPort: port,
    direction: fc.constantFrom('default', 'ingress', 'egress'),
    raw: fc.constantFrom('sample', 'sample2', 'sample3'),
  }),
  nat: fc.record(
    {
      kind: fc.constant('nat'),
      direction: fc.constantFrom('src', 'dst', null),
      persistent: fc.boolean(),
      portMode: fc.constantFrom('hash', 'random', null),
      addrMin: bytes(4),
      addrMax: bytes(16),
      protoMin: u16,
      protoMax: u16,
    },
    { requiredKeys: ['kind', 'direction', 'persistent', 'portMode'] },
  ),
  ct: fc.record(
    {
      kind: fc.constant('ct'),
      commit: fc.boolean(),
      force: fc.boolean(),
      zoneSrc: subfield,
      zoneImm: u16,
      recircTable: fc.option(u8),
      alg: u16,
      actions: fc.constant([
        { kind: 'exit' as const },
        { kind: 'note' as const, data: Uint8Array.of(1, 2, 3) },
      ]),
    },
    { requiredKeys: ['kind', 'commit', 'force', 'zoneImm', 'recircTable', 'alg', 'actions'] },
  ),
  clone: fc.record({
    kind: fc.constant('clone'),
    actions: fc.constant([{ kind: 'output' as const, port: 1 as OfpPort, maxLen: 0 }]),
  }),
  check_pkt_larger: fc.record({ kind: fc.constant('check_pkt_larger'), pktLen: u16, dst: subfield }),
  encap: fc.record({
    kind: fc.constant('encap'),
    packetType: u32,
    hdrSize: u16,
    props: fc.array(fc.record({ class: u16, type: u8, data: someBytes }), { maxLength: 3 }),
  }),
  decap: fc.record({ kind: fc.constant('decap'), newPacketType: u32 }),
  delete_field: fc.record({ kind: fc.constant('delete_field'), field }),
  meter: fc.record({ kind: fc.constant('meter'), meterId: u32 }),
  write_actions: fc.record({
    kind: fc.constant('write_actions'),
    actions: fc.constant([{ kind: 'dec_mpls_ttl' as const }]),
  }),
  write_metadata: fc.record({ kind: fc.constant('write_metadata'), metadata: u64, mask: u64 }),
  goto_table: fc.record({ kind: fc.constant('goto_table'), tableId: u8 }),
  unroll_xlate: fc.record({ kind: fc.constant('unroll_xlate'), ruleTableId: u8, ruleCookie: u64 }),
  dec_mpls_ttl: fc.constant({ kind: 'dec_mpls_ttl' }),
  dec_nsh_ttl: fc.constant({ kind: 'dec_nsh_ttl' }),
  pop_queue: fc.constant({ kind: 'pop_queue' }),
  exit: fc.constant({ kind: 'exit' }),
  ct_clear: fc.constant({ kind: 'ct_clear' }),
  clear_actions: fc.constant({ kind: 'clear_actions' }),
  debug_recirc: fc.constant({ kind: 'debug_recirc' }),
  debug_slow: fc.constant({ kind: 'debug_slow' }),
};

describe('ofpact words', () => {
  it.each(Object.keys(byKind) as ActionKind[])('keep %s', (kind) => {
    fc.assert(
      fc.property(byKind[kind], (action) => {
        expect(decodeOfpacts(encodeOfpacts([action]))).toEqual([action]);
      }),
      { numRuns: 30 },
    );
  });

  it('keep lists in order, also inside others', () => {
    const any: fc.Arbitrary<Action> = fc.oneof(...(Object.values(byKind) as fc.Arbitrary<Action>[]));
    fc.assert(
      fc.property(fc.array(any, { maxLength: 8 }), (actions) => {
        const nested: Action[] = [{ kind: 'clone', actions }, { kind: 'write_actions', actions }, ...actions];
        expect(decodeOfpacts(encodeOfpacts(nested))).toEqual(nested);
      }),
    );
  });

  it('number every kind once', () => {
    const numbers = Object.values(ofpactKinds);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const [name, n] of Object.entries(ofpactKinds)) expect(ofpactKindName(n)).toBe(name);
  });

  it('refuse words that nobody made', () => {
    expect(() => decodeOfpacts(Uint32Array.of(1))).toThrow('bad length');
    expect(() => decodeOfpacts(Uint32Array.of(1 | (5 << 16)))).toThrow('bad length');
    expect(() => decodeOfpacts(Uint32Array.of(999 | (1 << 16)))).toThrow('unknown kind');
    expect(() => decodeOfpacts(Uint32Array.of(1 | (2 << 16), 3))).toThrow('too short');
  });
});
