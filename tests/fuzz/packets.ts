import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { corpusDirectory, formatCorpusFile, readCorpus } from './corpus.ts';
import { PacketFuzzer } from './packet-fuzz.ts';

/**
 * Usage: npx tsx tests/fuzz/packets.ts [--count 1000000] [--seed 1]
 *
 * The same count and seed give the same packets. Each frame that makes a mismatch is written to the corpus.
 */
const { values } = parseArgs({
  options: { count: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const count = Number(values.count);
const seed = Number(values.seed);
if (!Number.isSafeInteger(count) || !Number.isSafeInteger(seed) || count < 0) {
  console.error('usage: packets.ts [--count N] [--seed N]');
  process.exit(2);
}

const corpus = [...readCorpus().values()];
const result = new PacketFuzzer({
  corpus,
  count,
  seed,
  progress: (done) => process.stderr.write(`\r${String(done)} packets`),
}).run();
process.stderr.write('\r');
console.log(
  `${String(result.packets)} packets from ${String(corpus.length)} of the corpus, seed ${String(seed)}: ` +
    `${String(result.misses)} misses, ${String(result.emcHits)} EMC hits, ${String(result.megaflowHits)} megaflow hits, ` +
    `${String(result.megaflows)} megaflows left, ${String(result.mismatches.length)} mismatches`,
);
result.mismatches.forEach(({ what, frame }, i) => {
  const name = `found-${String(seed)}-${String(i)}.hex`;
  writeFileSync(corpusDirectory + name, formatCorpusFile(frame, what));
  console.log(`  ${name}: ${what}`);
});
process.exit(result.mismatches.length === 0 ? 0 : 1);
