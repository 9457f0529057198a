/**
 * Many random messages to our server and the stock one: `npx tsx tests/soak/ovsdb-protocol.ts [SEEDS [FIRST [STEPS]]]`. A
 * difference is printed with its seed.
 */
import { fuzzProtocol } from '../support/ovsdb-protocol-fuzz.ts';

const [count = 20, first = 1, steps = 200] = process.argv.slice(2).map(Number);
let [sent, deaths, differences] = [0, 0, 0];
for (let seed = first; seed < first + count; seed++) {
  try {
    const result = await fuzzProtocol(seed, steps);
    sent += result.sent;
    if (result.stockDied) deaths++;
  } catch (error) {
    differences++;
    console.log((error as Error).message);
  }
}
console.log(`${sent} messages, ${differences} differences; the stock server died ${deaths} times`);
process.exitCode = differences === 0 ? 0 : 1;
