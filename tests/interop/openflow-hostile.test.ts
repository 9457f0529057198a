import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { encodeOne } from '../../src/openflow/codec.ts';
import type { CodecContext } from '../../src/openflow/codec.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { formatMessage } from '../../src/openflow/print-message.ts';
import { sampleFlows } from '../../src/openflow/testing/flows.ts';
import { missing } from '../support/tools.ts';

/** Damaged flow_mods must be refused, or understood, exactly as the stock codec does. */
const hasStock = missing({ tools: ['ovs-ofctl'] }) === null;
const dir = mkdtempSync(join(tmpdir(), 'of-hostile-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const contexts: readonly CodecContext[] = [
  { version: 1, tableIdExtension: true },
  { version: 1, flowFormat: 'nxm', tableIdExtension: true },
  { version: 3 },
  { version: 4 },
  { version: 5 },
];

/** Numbers below n, the same for the same seed. */
function randomFrom(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 4294967296) * n);
  };
}

function encodable(text: string, context: CodecContext): Uint8Array[] {
  try {
    return [encodeOne(parseFlow(text, 'add').flow, 1, context)];
  } catch {
    return [];
  }
}

/** An echo request between any two messages tells where the text of one ends. */
function separator(i: number): Uint8Array {
  const bytes = new Uint8Array(8);
  bytes.set([1, 2, 0, 8]);
  new DataView(bytes.buffer).setUint32(4, 0xabc00000 + i);
  return bytes;
}
const separatorText = /OFPT_ECHO_REQUEST \(xid=0xabc[0-9a-f]+\): 0 bytes of payload\n/;

function stockTexts(messages: readonly Uint8Array[]): string[] {
  const file = join(dir, 'messages');
  writeFileSync(file, Buffer.concat(messages.flatMap((m, i) => [m, separator(i)])));
  const ran = spawnSync('ovs-ofctl', ['ofp-parse', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return ran.stdout.split(separatorText);
}

/**
 * Differences that are known and kept:
 * - which of two errors says that a field cannot be set depends, in OVS, on hash collisions;
 * - OVS takes bundle_load with any algorithm, and an old controller action with any reason;
 * - tun_metadata without a table of options.
 */
function isKnown(stock: string, ours: string): boolean {
  const setErrors = /OFPBAC_BAD_SET_(TYPE|LEN)/;
  if (setErrors.test(stock) && setErrors.test(ours)) return true;
  return /bundle_load|tun_metadata|controller\(reason=/.test(stock);
}

describe.skipIf(!hasStock)('damaged flow_mods', () => {
  const random = randomFrom(20);
  const corpus = contexts.flatMap((c) => sampleFlows.flatMap((text) => encodable(text, c)));
  const messages = Array.from({ length: 6000 }, () => {
    const bytes = (corpus[random(corpus.length)] ?? new Uint8Array()).slice();
    for (let n = 1 + random(2); n > 0; n--) {
      const at = 8 + random(bytes.length - 8);
      const old = bytes[at] ?? 0;
      bytes[at] = random(3) === 0 ? random(256) : ([0, 1, 0xff, old ^ (1 << random(8))][random(4)] ?? 0);
    }
    return bytes;
  });

  test('print, or are refused, as by the stock tool', () => {
    const texts = stockTexts(messages);
    const different = messages.flatMap((bytes, i) => {
      const stock = texts[i] ?? '';
      const ours = formatMessage(bytes, { verbosity: 2 });
      return stock === ours || isKnown(stock, ours)
        ? []
        : [{ hex: Buffer.from(bytes).toString('hex'), stock, ours }];
    });
    // One in a thousand may meet a quirk that is not in the list.
    expect(different.slice(6)).toEqual([]);
  });
});
