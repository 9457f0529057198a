import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatJson, isJsonArray, isJsonObject } from '../../src/stream/index.ts';
import type { Json } from '../../src/stream/index.ts';
import { testSchema, transactions } from '../support/ovsdb-arbitraries.ts';
import { TestClient, canonical, startOurs, startStock } from '../support/ovsdb.ts';
import type { ServerUnderTest } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

/**
 * The same random transactions on our server and on the stock one: replies, update notifications of all three
 * dialects and the contents afterwards must agree. Inserts name their uuids, so that nothing is random.
 */
const skip = missing({ tools: ['ovsdb-server'] });
const runs = Number(process.env['OVSDB_RUNS'] ?? 60);

const everything: Json = { root: [{}], child: [{}], must: [{}] };
const wipe: Json[] = ['must', 'root', 'child'].map((table) => ({ op: 'delete', table, where: [] }));

/** Where several rows or columns are at fault, the one named depends on the order of a hash table: only the kind counts. */
function comparable(reply: Json): string {
  return formatJson(canonical(reply), true).replace(
    /"details":"(Transaction causes multiple|Deletion of|Weak reference|Table |cannot delete)[^}]*","error"/g,
    '"details":"...","error"',
  );
}

/** Index of the operation that failed; -1 if none. */
function failedAt(reply: Json): number {
  const result = isJsonObject(reply) ? reply['result'] : undefined;
  return isJsonArray(result) ? result.findIndex((r) => isJsonObject(r) && r['error'] !== undefined) : -1;
}

/** Both failed at an operation whose row has several columns, any of which may have been met first. */
function failedAlike(operations: readonly Json[], replies: readonly Json[]): boolean {
  const [ours = -1, stock = -1] = replies.map(failedAt);
  const operation = operations[ours];
  const row = isJsonObject(operation) ? operation['row'] : undefined;
  return ours >= 0 && ours === stock && isJsonObject(row) && Object.keys(row).length > 1;
}

/**
 * The stock server tells of rows that a transaction touched and left as they were (a reference to a row that does not
 * exist is dropped again), as changes of nothing but `_version`.
 */
function withoutEmptyChanges(params: readonly Json[]): Json | null {
  const tables: Record<string, Json> = {};
  const updates = params.at(-1);
  for (const [table, rows] of Object.entries(isJsonObject(updates) ? updates : {})) {
    const kept = Object.entries(isJsonObject(rows) ? rows : {}).filter(
      ([, update]) => !isEmptyChange(update),
    );
    if (kept.length > 0) tables[table] = Object.fromEntries(kept);
  }
  return Object.keys(tables).length === 0 ? null : [...params.slice(0, -1), tables];
}

function isEmptyChange(update: Json): boolean {
  if (!isJsonObject(update)) return false;
  const diff = update['modify'] ?? (update['new'] === undefined ? undefined : update['old']);
  return isJsonObject(diff) && Object.keys(diff).length === 0;
}

function updatesOf(client: TestClient): string[] {
  return client.notifications
    .splice(0)
    .map(({ method, params }) => ({ method, params: withoutEmptyChanges(params.map(canonical)) }))
    .filter(({ params }) => params !== null)
    .map(({ method, params }) => formatJson([method, params], true))
    .sort();
}

describe.skipIf(skip !== null)('ovsdb-server against the stock one', () => {
  let servers: [ServerUnderTest, ServerUnderTest];
  let clients: [TestClient, TestClient];

  beforeAll(async () => {
    servers = [await startOurs(testSchema), await startStock(testSchema)];
    clients = [await TestClient.connect(servers[0].socket), await TestClient.connect(servers[1].socket)];
    for (const client of clients) {
      await client.call('monitor', ['Test', 'one', everything]);
      await client.call('monitor_cond', ['Test', 'two', everything]);
      await client.call('monitor_cond_since', [
        'Test',
        'three',
        { root: [{ where: [['number', '>', 3]] }], child: [{ columns: ['level', 'kind'] }] },
        '00000000-0000-0000-0000-000000000000',
      ]);
    }
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    for (const server of servers) await server.stop();
  });

  it('answers random transactions alike', async () => {
    await fc.assert(
      fc.asyncProperty(transactions, async (list) => {
        await Promise.all(clients.map((client) => client.call('transact', ['Test', ...wipe])));
        for (const client of clients) client.notifications.length = 0;
        for (const operations of list) {
          const replies = await Promise.all(
            clients.map((client) => client.call('transact', ['Test', ...operations])),
          );
          const [ours, stock] = replies.map(comparable);
          if (!failedAlike(operations, replies)) expect(ours, formatJson(operations)).toBe(stock);
          const [ourUpdates, stockUpdates] = clients.map(updatesOf);
          expect(ourUpdates, formatJson(operations)).toEqual(stockUpdates);
        }
        const select: Json[] = ['root', 'child', 'must'].map((table) => ({ op: 'select', table, where: [] }));
        const [ours, stock] = (
          await Promise.all(clients.map((client) => client.call('transact', ['Test', ...select])))
        ).map(comparable);
        expect(ours).toBe(stock);
      }),
      { numRuns: runs, seed: Number(process.env['OVSDB_SEED'] ?? 20) },
    );
  });
});
