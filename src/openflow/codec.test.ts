import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OfpError } from '../util/errors.ts';
import { decodeMessage, encodeMessage, encodeOne } from './codec.ts';
import type { CodecContext } from './codec.ts';
import { encodeErrorReply, errorNumbers } from './errors.ts';
import { ofpErrors } from './errors.table.ts';
import { parseFlow } from './flow-text.ts';
import { formatActions } from './format-actions.ts';
import { noFlowModFlags } from './messages.ts';
import type { FlowStats, OfpMessage, PhyPort } from './messages.ts';
import { inPortMetadata } from './packet-messages.ts';
import { formatMessage } from './print-message.ts';
import { sampleFlows } from './testing/flows.ts';

const contexts: readonly CodecContext[] = [
  { version: 1, flowFormat: 'nxm', tableIdExtension: true, packetInFormat: 'nxt_packet_in2' },
  { version: 3 },
  { version: 4 },
  { version: 5 },
];

const port: PhyPort = {
  port: 3 as PhyPort['port'],
  hwAddr: Uint8Array.of(2, 0, 0, 0, 0, 1),
  name: 'eth0',
  config: 1,
  state: 1,
  curr: 0x60,
  advertised: 0,
  supported: 0x60,
  peer: 0,
  currSpeedKbps: 10_000_000,
  maxSpeedKbps: 10_000_000,
};

const counters = {
  rxPackets: 1n, txPackets: 2n, rxBytes: 3n, txBytes: 4n, rxDropped: 5n, txDropped: 6n, rxErrors: 7n, txErrors: 8n,
  rxFrameErr: 9n, rxOverErr: 10n, rxCrcErr: 11n, collisions: 12n,
}; // prettier-ignore

/** Messages that come back as they were from every version that has them. */
const messages: readonly OfpMessage[] = [
  { type: 'hello', versionBitmap: 0x12 },
  { type: 'echo_request', data: Uint8Array.of(1, 2, 3) },
  { type: 'features_request' },
  { type: 'get_config_request' },
  { type: 'barrier_request' },
  { type: 'barrier_reply' },
  { type: 'desc_request' },
  { type: 'port_status', reason: 'modify', desc: port },
  { type: 'port_mod', port: port.port, hwAddr: port.hwAddr, config: 1, mask: 1, advertise: 0 },
  { type: 'port_stats_request', port: 0xffffffff as PhyPort['port'] },
  { type: 'port_desc_reply', ports: [port, { ...port, name: 'other' }], more: false },
  { type: 'queue_stats_request', port: port.port, queueId: 5 },
  { type: 'desc_reply', mfrDesc: 'a', hwDesc: 'b', swDesc: 'c', serialNum: 'd', dpDesc: 'e' },
  { type: 'aggregate_stats_reply', packetCount: 1n, byteCount: 2n, flowCount: 3 },
  { type: 'nx_set_packet_in_format', format: 'nxt_packet_in2' },
  { type: 'nx_set_controller_id', controllerId: 7 },
  { type: 'nx_flow_age' },
];

describe('messages', () => {
  for (const context of contexts) {
    test.each(messages.map((m) => [m.type, m] as const))(`%s survives version ${context.version}`, (_, m) => {
      const bytes = encodeOne(m, 99, context);
      expect(bytes.length).toBe((bytes[2] ?? 0) * 256 + (bytes[3] ?? 0));
      const decoded = decodeMessage(bytes, context);
      expect(decoded.xid).toBe(99);
      expect(decoded.message).toEqual(m);
    });

    test(`port statistics survive version ${context.version}`, () => {
      const durationMs = context.version >= 4 ? 1500.000002 : null;
      const m: OfpMessage = {
        type: 'port_stats_reply',
        ports: [{ port: port.port, ...counters, durationMs }],
        more: false,
      };
      expect(decodeMessage(encodeOne(m, 1, context)).message).toEqual(m);
    });

    test(`packet_in survives version ${context.version}`, () => {
      const m: OfpMessage = {
        type: 'packet_in',
        packet: new Uint8Array(60).fill(7),
        totalLen: 100,
        bufferId: 0xffffffff,
        reason: 'action',
        tableId: 5,
        cookie: context.version === 3 ? 0xffffffffffffffffn : 9n,
        metadata: inPortMetadata(3),
        userdata: new Uint8Array(0),
        continuation: null,
      };
      expect(decodeMessage(encodeOne(m, 1, context), context).message).toEqual(m);
    });
  }

  test('roles and asynchronous masks keep who is master', () => {
    for (const version of [1, 4]) {
      const m: OfpMessage = {
        type: 'set_async_config',
        packetIn: [1, 2],
        portStatus: [3, 4],
        flowRemoved: [5, 6],
      };
      expect(decodeMessage(encodeOne(m, 1, { version })).message).toEqual(m);
    }
    const role: OfpMessage = { type: 'role_request', role: 'master', generationId: 5n };
    expect(decodeMessage(encodeOne(role, 1, { version: 4 })).message).toEqual(role);
    const nx: OfpMessage = { type: 'role_request', role: 'slave', generationId: null };
    expect(decodeMessage(encodeOne(nx, 1, { version: 1 })).message).toEqual(nx);
  });

  test('long statistics are split, all but the last marked', () => {
    const { flow } = parseFlow('tcp,tp_dst=80 actions=output:1', 'add');
    const stats: FlowStats = {
      match: flow.match, priority: 1, cookie: 2n, tableId: 0, durationMs: 1000, idleTimeoutSec: 0, hardTimeoutSec: 0,
      idleAgeSec: -1, hardAgeSec: -1, packetCount: 0n, byteCount: 0n, flags: noFlowModFlags, importance: 0,
      actions: flow.actions,
    }; // prettier-ignore
    const flows = Array.from({ length: 2000 }, (_, i) => ({ ...stats, priority: i }));
    const parts = encodeMessage({ type: 'flow_stats_reply', flows }, 5, { version: 4 });
    expect(parts.length).toBeGreaterThan(2);
    const decoded = parts.map((p) => decodeMessage(p).message);
    const got = decoded.flatMap((m) => (m.type === 'flow_stats_reply' ? m.flows : []));
    expect(got.map((f) => f.priority)).toEqual(flows.map((f) => f.priority));
    expect(decoded.map((m) => m.type === 'flow_stats_reply' && m.more)).toEqual(
      parts.map((_, i) => i < parts.length - 1),
    );
  });
});

/** OXM and ofp_match say less about these matches than the text does, as with OVS. */
const lossy = new Set([
  'dl_vlan=0xffff actions=mod_vlan_vid:5,normal',
  'vlan_tci=0 actions=drop',
  'nw_src=1.2.3.4 actions=drop',
  'tp_dst=80 actions=drop',
]);
/** 1.0 has no goto_table: OVS writes a resubmit, which may not follow write_metadata. */
const notInNxm = /write_metadata.*goto_table/;

describe('flows', () => {
  test.each(sampleFlows)('%s', (text) => {
    const { flow, usable } = parseFlow(text, 'add');
    for (const [i, context] of contexts.entries()) {
      const protocol = [1 << 3, 1 << 5, 1 << 6, 1 << 7][i] ?? 0;
      if ((usable & protocol) === 0 || (context.version === 1 && notInNxm.test(text))) continue;
      const bytes = encodeOne(flow, 1, context);
      const { message } = decodeMessage(bytes, context);
      if (message.type !== 'flow_mod') throw new Error(message.type);
      // A second trip changes nothing: the first may turn an action into the version's own form of it.
      const again = encodeOne(message, 1, context);
      expect(again).toEqual(bytes);
      if (!lossy.has(text)) expect(message.match.equals(flow.match)).toBe(true);
      expect(message.priority).toBe(flow.priority);
      const twice = decodeMessage(again, context).message;
      expect(twice.type === 'flow_mod' && formatActions(twice.actions)).toBe(formatActions(message.actions));
    }
  });
});

describe('errors', () => {
  test('every error has numbers in some version, and they lead back to it', () => {
    for (const [name] of ofpErrors) {
      const places = [1, 2, 3, 4, 5, 6].filter((v) => errorNumbers(name, v));
      expect(places.length, name).toBeGreaterThan(0);
      for (const version of places) {
        const request = encodeOne({ type: 'barrier_request' }, 3, { version });
        const { message } = decodeMessage(encodeErrorReply(name, request));
        if (message.type !== 'error') throw new Error(message.type);
        // Some versions say two errors with the same numbers.
        const same = errorNumbers(message.error, version);
        expect(same).toEqual(errorNumbers(name, version));
        expect(message.data).toEqual(request);
      }
    }
  });

  test('an error carries the request that caused it', () => {
    const request = encodeOne({ type: 'echo_request', data: new Uint8Array(200) }, 3, { version: 4 });
    const { message } = decodeMessage(encodeErrorReply('OFPBRC_BAD_TYPE', request));
    expect(message).toEqual({ type: 'error', error: 'OFPBRC_BAD_TYPE', data: request });
  });

  test.each([
    ['unknown type', '0463000800000001', 'OFPBRC_BAD_TYPE'],
    ['unknown multipart', '041200100000000100630000' + '00000000', 'OFPBRC_BAD_STAT'],
    ['unknown experimenter', '04040010000000010000abcd00000001', 'OFPBRC_BAD_VENDOR'],
    ['unknown subtype', '0404001000000001000023200000ffff', 'OFPBRC_BAD_SUBTYPE'],
    ['short body', '040e000800000001', 'OFPBRC_BAD_LEN'],
  ])('%s', (_, hex, code) => {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (x) => parseInt(x, 16));
    expect(() => decodeMessage(bytes)).toThrow(expect.objectContaining({ code }));
  });
});

describe('hostile bytes', () => {
  /** Decodes and prints; only OfpError may come out of it. */
  function feed(bytes: Uint8Array): void {
    try {
      decodeMessage(bytes, { tableIdExtension: true, debugActions: true });
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
    }
    expect(formatMessage(bytes, { verbosity: 2 })).toMatch(/\n$/);
  }

  test('any bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 4, 5, 6, 9),
        fc.integer({ min: 0, max: 40 }),
        fc.uint8Array({ minLength: 0, maxLength: 200 }),
        (version, type, body) => {
          const bytes = new Uint8Array(8 + body.length);
          bytes.set([version, type, bytes.length >> 8, bytes.length & 0xff]);
          bytes.set(body, 8);
          feed(bytes);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('messages with bytes changed or cut off', () => {
    const corpus = contexts.flatMap((context) => [
      ...messages.map((m) => encodeOne(m, 1, context)),
      ...sampleFlows.map((text) => encodeOne(parseFlow(text, 'add').flow, 1, context)),
    ]);
    fc.assert(
      fc.property(
        fc.constantFrom(...corpus),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }),
        fc.nat(60),
        (original, changes, cut) => {
          const bytes = original.slice(0, Math.max(8, original.length - (cut > 40 ? cut - 40 : 0)));
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          if (changes.length % 2 === 0) bytes.set([bytes.length >> 8, bytes.length & 0xff], 2);
          feed(bytes);
        },
      ),
      { numRuns: 5000 },
    );
  });
});
