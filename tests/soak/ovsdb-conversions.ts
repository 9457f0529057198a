/**
 * Many random conversions by our tools and server and the stock ones:
 * `npx tsx tests/soak/ovsdb-conversions.ts [COUNT [SEED]]`. A difference is printed with its seed and ends the run, `--all` goes on.
 */
import { parseArgs } from 'node:util';
import { runConversion } from '../support/ovsdb-conversions.ts';

const { values, positionals } = parseArgs({
  options: { all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [count = 500, firstSeed = 1] = positionals.map(Number);
const totals = { converted: 0, loose: 0, differences: 0 };
let seed = firstSeed;
for (; seed < firstSeed + count; seed++) {
  try {
    const { isConverted, loose } = await runConversion(seed);
    if (isConverted) totals.converted++;
    totals.loose += loose;
  } catch (error) {
    totals.differences++;
    const { message, cause } = error as Error;
    console.log(`${message}\n${cause instanceof Error ? (cause.stack ?? '') : String(cause)}\n`);
    if (!values.all) break;
  }
}
console.log(
  `${seed - firstSeed} conversions, of which ${totals.converted} were possible: ${totals.differences} differences; ` +
    `${totals.loose} outcomes equal but for the row that they name`,
);
process.exitCode = totals.differences === 0 ? 0 : 1;
