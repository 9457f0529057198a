/**
 * A storm of transactions from 50 clients while the server is killed every 2 s, for a minute:
 * `npx tsx tests/soak/ovsdb-storm.ts [SECONDS [CLIENTS]]` after `npm run build`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/util/clock.ts';
import { Storm } from '../support/ovsdb-storm.ts';

const [seconds = 60, clients = 50] = process.argv.slice(2).map(Number);
const clock = new SystemClock();
const dir = mkdtempSync(join(tmpdir(), 'ovsdb-storm-'));
const storm = new Storm(dir, clients);
const endMs = clock.nowMs() + seconds * 1000;
let restarted = Promise.resolve();
const timer = setInterval(() => {
  if (clock.nowMs() >= endMs) return;
  restarted = restarted
    .then(() => storm.kill())
    .catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
}, 2000);
await storm.run(() => clock.nowMs() >= endMs);
clearInterval(timer);
console.log(
  `${storm.total} transactions acknowledged, ${storm.kills} kills, nothing lost, no half transaction`,
);
rmSync(dir, { recursive: true });
