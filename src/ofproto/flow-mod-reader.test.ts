import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readKey } from '../arena/keys.ts';
import type { CodecContext } from '../openflow/codec.ts';
import { decodeMessage, encodeOne } from '../openflow/codec.ts';
import { parseFlow } from '../openflow/flow-text.ts';
import type { FlowMod } from '../openflow/messages.ts';
import { OFPP_MAX, OFP_NO_BUFFER } from '../openflow/ports.ts';
import { sampleFlows } from '../openflow/testing/flows.ts';
import { OfpError } from '../util/errors.ts';
import { FlowModReader } from './flow-mod-reader.ts';
import { allTables, FlowTables } from './flow-tables.ts';
import { encodeOfpacts } from './ofpact-words.ts';
import { flagsToBits } from './rule-view.ts';
import { testCore } from './testing/bench.ts';

/** The short way in and the codec say the same of every message that the short way takes. */
const core = testCore();
const tables = new FlowTables(core, 1);
const reader = new FlowModReader(core, tables);

const forms: readonly (CodecContext & { readonly tableIdExtension: boolean })[] = [
  { version: 1, flowFormat: 'openflow10', tableIdExtension: false },
  { version: 1, flowFormat: 'nxm', tableIdExtension: true },
  { version: 3, tableIdExtension: false },
  { version: 4, tableIdExtension: false },
  { version: 5, tableIdExtension: false },
];

const plainFlows: readonly string[] = [
  'in_port=1,actions=output:2',
  'priority=7,tcp,nw_src=10.0.0.0/8,nw_dst=192.168.1.1,tp_dst=80,actions=1,2,LOCAL',
  'udp,in_port=3,dl_src=00:11:22:33:44:55,tp_src=53,actions=controller',
  'icmp,icmp_type=8,icmp_code=0,actions=in_port',
  'arp,arp_tpa=10.0.0.0/24,actions=flood',
  'rarp,arp_spa=1.2.3.4,actions=normal',
  'ip,nw_tos=0x40,nw_proto=47,actions=all',
  'dl_type=0x1234,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop',
  'tcp6,ipv6_src=fe80::/64,tcp_dst=22,actions=output:9',
  'dl_vlan=5,actions=output:1',
  'reg3=0x5/0xff,metadata=7,tun_id=9,actions=output:1',
  'table=3,cookie=0x1122334455667788,idle_timeout=5,hard_timeout=6,send_flow_rem,ip,actions=output:1',
  'check_overlap,importance=9,sctp,sctp_dst=5,actions=output:1',
];

function encoded(text: string, form: CodecContext): Uint8Array | null {
  const { flow } = parseFlow(text, 'add');
  try {
    return encodeOne(flow, 1, form);
  } catch (e) {
    if (e instanceof OfpError) return null;
    throw e;
  }
}

/** What the codec makes of a message; null when it refuses. */
function decoded(bytes: Uint8Array, form: CodecContext): FlowMod | null {
  try {
    const context = { ...form, maxPorts: OFPP_MAX, nTables: 255, hasTunnelOptions: false };
    const { message } = decodeMessage(bytes, context);
    return message.type === 'flow_mod' ? message : null;
  } catch (e) {
    if (e instanceof OfpError) return null;
    throw e;
  }
}

/** Compares the two ways; true when the short one took the message. */
function compare(bytes: Uint8Array, form: CodecContext & { tableIdExtension: boolean }): boolean {
  if (!reader.read(bytes, form.tableIdExtension)) return false;
  const mod = decoded(bytes, form);
  if (mod === null) throw new Error('the codec refuses it');
  expect(mod.command).toBe('add');
  expect(mod.bufferId).toBe(OFP_NO_BUFFER);
  expect({
    tableId: reader.tableId,
    priority: reader.priority,
    cookie: reader.cookie,
    idle: reader.idleTimeoutSec,
    hard: reader.hardTimeoutSec,
    importance: reader.importance,
    flags: reader.flags,
    words: [...reader.words.subarray(0, reader.nWords)],
    flow: Buffer.from(readKey(core, tables.flowKey)).toString('hex'),
    mask: Buffer.from(readKey(core, tables.maskKey)).toString('hex'),
  }).toEqual({
    tableId: mod.tableId === allTables ? 0 : mod.tableId,
    priority: mod.priority,
    cookie: mod.newCookie,
    idle: mod.idleTimeoutSec,
    hard: mod.hardTimeoutSec,
    importance: mod.importance,
    flags: flagsToBits(mod.flags),
    words: [...encodeOfpacts(mod.actions)],
    flow: Buffer.from(mod.match.flow).toString('hex'),
    mask: Buffer.from(mod.match.mask).toString('hex'),
  });
  return true;
}

describe('flow_mods by the short way', () => {
  test('are what the codec makes of them, for flows of all kinds', () => {
    for (const form of forms) {
      for (const text of [...plainFlows, ...sampleFlows]) {
        const bytes = encoded(text, form);
        if (bytes !== null) compare(bytes, form);
      }
    }
  });

  test('takes the plain ones in the newer forms', () => {
    for (const form of forms.slice(2)) {
      const taken = plainFlows.filter((text) => {
        const bytes = encoded(text, form);
        return bytes !== null && compare(bytes, form);
      });
      // Types of ICMP and the TOS byte are the codec's.
      expect(plainFlows.filter((text) => !taken.includes(text))).toEqual([plainFlows[3], plainFlows[6]]);
    }
  });

  test('are refused or the same after any change of bytes', () => {
    const texts = [...plainFlows, ...sampleFlows];
    const change = fc.record({ at: fc.nat(), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.nat(forms.length - 1),
        fc.nat(texts.length - 1),
        fc.array(change, { maxLength: 3 }),
        fc.option(fc.nat()),
        (formIndex, textIndex, changes, cut) => {
          const form = forms[formIndex] ?? forms[0];
          const whole = form && encoded(texts[textIndex] ?? '', form);
          if (form === undefined || whole === null || whole === undefined) return;
          const bytes = cut === null ? whole : whole.slice(0, 8 + (cut % (whole.length - 7)));
          for (const { at, value } of changes) bytes[8 + (at % Math.max(1, bytes.length - 8))] = value;
          new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, bytes.length);
          compare(bytes, form);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
