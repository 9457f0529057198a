import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutate } from '../../src/datapath/testing/packets.ts';
import { extractFlow } from '../../src/flow/extract.ts';
import { formatFlow } from '../../src/flow/match-format.ts';
import { SeededRandom } from '../../src/util/random.ts';
import { readCorpus } from '../fuzz/corpus.ts';
import { missing } from '../support/tools.ts';

/** The flow of a frame as text: ours against the stock `ovs-ofctl parse-pcap`. */
const skip = missing({ tools: ['ovs-ofctl'] });

function pcap(frames: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65535, 16);
  head.writeUInt32LE(1, 20);
  const parts = frames.flatMap((frame) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, Buffer.from(frame)];
  });
  return Buffer.concat([head, ...parts]);
}

/** Lines of `ovs-ofctl parse-pcap`, one a frame. */
function stockFlows(frames: readonly Uint8Array[]): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'mf-pcap-'));
  try {
    const file = join(directory, 'frames.pcap');
    writeFileSync(file, pcap(frames));
    const { status, stdout, stderr } = spawnSync('ovs-ofctl', ['parse-pcap', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new Error(stderr);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd());
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** parse-pcap has no port and says so; a key has the number. */
const comparable = (flow: string): string => flow.replace(/in_port=\w+/, 'in_port=ANY');

const corpus = [...readCorpus().values()].filter((frame) => frame.length >= 14);
const ourFlow = (frame: Uint8Array): string =>
  comparable(formatFlow(extractFlow(frame, { vlanLimit: 2, inPort: 1 }).flow));

describe.skipIf(skip !== null)('flows of frames as the stock ovs-ofctl prints them', () => {
  it('on the corpus', () => {
    expect(corpus.map(ourFlow)).toEqual(stockFlows(corpus).map(comparable));
  });

  it('on 20,000 mutated frames', () => {
    const random = new SeededRandom(20);
    const frames = Array.from({ length: 20_000 }, (_, i) =>
      mutate(corpus[i % corpus.length] ?? new Uint8Array(0), random),
    );
    const whole = frames.filter((frame) => frame.length >= 14);
    const theirs = stockFlows(whole).map(comparable);
    const different = whole
      .map((frame, i) => ({ ours: ourFlow(frame), theirs: theirs[i] }))
      .filter((p) => p.ours !== p.theirs);
    expect(different).toEqual([]);
  });
});
