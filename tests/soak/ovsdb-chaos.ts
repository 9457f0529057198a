/**
 * An active server, its backup and relays, ours and stock ones as the dice have it, with writers and followers, while servers are killed,
 * stopped, converted and change places: `npx tsx tests/soak/ovsdb-chaos.ts [SECONDS [SEED [KIND,KIND,KIND,KIND]]]` after
 * `npm run build`. Kinds (`ours`, `stock`) are those of the two servers with files, the relay and the relay of the relay.
 */
import { runChaos } from '../support/ovsdb-chaos.ts';
import { kinds } from '../support/ovsdb-services.ts';
import { SystemClock } from '../../src/util/clock.ts';

const [seconds = '60', seed = '1', given = ''] = process.argv.slice(2);
const clock = new SystemClock();
const startMs = clock.nowMs();
const only = given.split(',').flatMap((word) => kinds.filter((kind) => kind === word));
const log = (text: string): void => console.log(`${((clock.nowMs() - startMs) / 1000).toFixed(1)} ${text}`);
console.log(JSON.stringify(await runChaos(Number(seed), Number(seconds), log, only)));
