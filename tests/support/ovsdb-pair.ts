import { formatJson, isJsonArray, isJsonObject, normalInteger } from '../../src/stream/index.ts';
import type { Json, JsonObject } from '../../src/stream/index.ts';
import { TestClient } from './ovsdb.ts';
import type { ServerUnderTest } from './ovsdb.ts';

const anyUuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** One server, its clients, and the labels of the uuids that it made up: `@0`, `@1`... */
class Side {
  readonly #labels = new Map<string, string>();
  readonly #uuids: string[] = [];
  readonly clients = new Map<string, TestClient>();
  readonly server: ServerUnderTest;

  constructor(server: ServerUnderTest) {
    this.server = server;
  }

  async client(name: string): Promise<TestClient> {
    let client = this.clients.get(name);
    if (client === undefined) {
      client = await TestClient.connect(this.server.socket);
      this.clients.set(name, client);
    }
    return client;
  }

  learn(uuid: string): string {
    const label = `@${this.#uuids.length}`;
    this.#uuids.push(uuid);
    this.#labels.set(uuid, label);
    return label;
  }

  /** `json` with labels replaced by this side's uuids. */
  request(json: Json): Json {
    if (typeof json === 'string')
      return /^@\d+$/.test(json) ? (this.#uuids[Number(json.slice(1))] ?? json) : json;
    if (isJsonArray(json)) return json.map((item) => this.request(item));
    if (!isJsonObject(json)) return json;
    return Object.fromEntries(
      Object.entries(json).map(([k, v]) => [this.request(k) as string, this.request(v)]),
    );
  }

  #named(text: string, fixed: ReadonlySet<string>): string {
    return text
      .replace(anyUuid, (uuid) => this.#labels.get(uuid) ?? (fixed.has(uuid) ? uuid : '?'))
      .replace(/"wait" timed out after \d+ ms|"where" clause test failed/, '"wait" timed out');
  }

  /**
   * `json` in a form that both sides share: labels for uuids, `?` for unknown ones, what comes in any order sorted.
   */
  canonical(json: Json, fixed: ReadonlySet<string>): Json {
    if (typeof json === 'string') return this.#named(json, fixed);
    // 1e+16 and 10000000000000000 are the same real.
    if (typeof json === 'number')
      return Math.abs(json) < 2 ** 63 && Number.isInteger(json) ? normalInteger(BigInt(json)) : json;
    if (isJsonArray(json)) {
      const [tag, items] = json;
      const isValue = (tag === 'set' || tag === 'map') && json.length === 2 && isJsonArray(items);
      if (isValue) return [tag, items.map((item) => this.canonical(item, fixed)).sort(byText)];
      return json.map((item) => this.canonical(item, fixed));
    }
    if (!isJsonObject(json)) return json;
    const out: Record<string, Json> = {};
    for (const [name, member] of Object.entries(json)) {
      const value = name === '_version' ? 'VERSION' : this.canonical(member, fixed);
      out[this.#named(name, fixed)] = name === 'rows' && isJsonArray(value) ? [...value].sort(byText) : value;
    }
    return out;
  }
}

function byText(a: Json, b: Json): number {
  const [left, right] = [formatJson(a, true), formatJson(b, true)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function resultsOf(reply: Json | undefined): readonly Json[] {
  const result = isJsonObject(reply) ? reply['result'] : undefined;
  return isJsonArray(result) ? result : [];
}

function failure(reply: Json): { at: number; error: JsonObject } | null {
  const results = resultsOf(reply);
  const at = results.findIndex((r) => isJsonObject(r) && r['error'] !== undefined);
  const error = results[at];
  return isJsonObject(error) ? { at, error } : null;
}

/** What a message says, without the rows, numbers and values that it names. */
function gist(error: JsonObject): string {
  return formatJson(error, true)
    .replace(' (inserted within this transaction)', '')
    .replace(/ to have identical values .*(?=","error")/, '')
    .replace(/\\"(?:[^"\\]|\\\\.)*\\"/g, '"S"')
    .replace(/@\d+|\?|[0-9a-f-]{36}/g, 'U')
    .replace(/-?\d+(\.\d+)?(e[-+]\d+)?/g, 'N');
}

/** The stock server is gone: there are requests that it does not survive. */
export class StockDied extends Error {}

function requireAlive(reply: Json): Json {
  if (isJsonObject(reply) && reply['error'] === 'connection lost') throw new StockDied();
  return reply;
}

/** A request that both servers have not answered yet. */
export interface Begun {
  readonly params: readonly Json[];
  /** Whether ours and the stock server have answered. */
  isDone(): readonly [boolean, boolean];
  /**
   * Withdraws it. The stock server does not answer then (RFC 7047 says it does).
   *
   * @returns what ours answers
   */
  cancel(): Promise<Json>;
  finish(): Promise<{ ours: Json; stock: Json }>;
}

/**
 * Our server and the stock one, given the same requests.
 *
 * Why the uuids are mapped: both servers make up uuids for rows that do not ask for one. Why some errors are compared
 * by their gist: where several rows are at fault, the stock server names the one that comes first in a hash table of
 * uuids, which differ; `same` accepts that only for what depends on rows.
 */
export class ServerPair {
  readonly ours: Side;
  readonly stock: Side;
  /** Errors that were equal only by their gist. */
  looseMatches = 0;
  readonly #fixed = new Set<string>();

  constructor(ours: ServerUnderTest, stock: ServerUnderTest) {
    this.ours = new Side(ours);
    this.stock = new Side(stock);
  }

  /** Sends a request to both. @returns the canonical replies. */
  async call(client: string, method: string, params: readonly Json[]): Promise<{ ours: Json; stock: Json }> {
    for (const [uuid] of formatJson(params).matchAll(anyUuid)) this.#fixed.add(uuid);
    const [ours, stock] = await Promise.all(
      [this.ours, this.stock].map(async (side) => {
        const connection = await side.client(client);
        return await connection.call(method, side.request(params) as readonly Json[]);
      }),
    );
    return this.replies(method, params, ours ?? null, requireAlive(stock ?? null));
  }

  /** Sends a request to both without waiting; `cancel` withdraws it. */
  async begin(client: string, method: string, params: readonly Json[]): Promise<Begun> {
    for (const [uuid] of formatJson(params).matchAll(anyUuid)) this.#fixed.add(uuid);
    const calls = await Promise.all(
      [this.ours, this.stock].map(async (side) => {
        const connection = await side.client(client);
        const { id, reply } = connection.begin(method, side.request(params) as readonly Json[]);
        const begun = { reply: undefined as Json | undefined };
        const done = reply.then((value) => {
          begun.reply = value;
        });
        return { begun, done, cancel: () => connection.notify('cancel', [id]) };
      }),
    );
    const [ours, stock] = calls;
    if (ours === undefined || stock === undefined) throw new Error('two sides');
    return {
      params,
      isDone: () => [ours.begun.reply !== undefined, stock.begun.reply !== undefined],
      cancel: async () => {
        for (const call of calls) call.cancel();
        await ours.done;
        return ours.begun.reply ?? null;
      },
      finish: async () => {
        await Promise.all([ours.done, stock.done]);
        return this.replies(
          method,
          params,
          ours.begun.reply ?? null,
          requireAlive(stock.begun.reply ?? null),
        );
      },
    };
  }

  /** Canonical forms of raw replies; learns the uuids of inserted rows. */
  replies(method: string, params: readonly Json[], ours: Json, stock: Json): { ours: Json; stock: Json } {
    if (method === 'transact' && failure(ours) === null && failure(stock) === null)
      this.#learn(params, ours, stock);
    return { ours: this.ours.canonical(ours, this.#fixed), stock: this.stock.canonical(stock, this.#fixed) };
  }

  #learn(params: readonly Json[], ours: Json, stock: Json): void {
    resultsOf(ours).forEach((result, i) => {
      const operation = params[i + 1];
      if (!isJsonObject(operation) || operation['op'] !== 'insert' || operation['uuid'] !== undefined) return;
      const [a, b] = [insertedUuid(result), insertedUuid(resultsOf(stock)[i])];
      if (a === undefined || b === undefined) return;
      const label = this.ours.learn(a);
      this.stock.learn(b);
      this.onRow(typeof operation['table'] === 'string' ? operation['table'] : '', label);
    });
  }

  /** Called with the label of each row inserted under a uuid that a server made up. */
  onRow: (table: string, label: string) => void = () => undefined;

  /**
   * Whether both replies say the same. Errors count as the same if which of several rows is named depends on the order of
   * a hash table.
   */
  async same(client: string, params: readonly Json[], ours: Json, stock: Json): Promise<boolean> {
    if (formatJson(ours, true) === formatJson(stock, true)) return true;
    const [a, b] = [failure(ours), failure(stock)];
    if (a === null || b === null || a.at !== b.at) return false;
    const operation = params[a.at + 1];
    if (operation === undefined) {
      if (gist(a.error) !== gist(b.error) && !bothReferences(a.error, b.error)) return false;
      this.looseMatches++;
      return true;
    }
    if (!isJsonObject(operation)) return false;
    if (operation['op'] !== 'mutate') return false;
    return await this.#isOfSomeRow(client, params.slice(0, a.at + 1), operation, b.error);
  }

  /**
   * Whether `error` is what our server says of a mutation if it is of one row alone. Rows that the transaction has made under uuids
   * of the server cannot be told apart: with those any error of a row will do.
   *
   * @param before The request up to the mutation.
   */
  async #isOfSomeRow(
    client: string,
    before: readonly Json[],
    mutation: JsonObject,
    error: JsonObject,
  ): Promise<boolean> {
    const { table = null, where = null } = mutation;
    const run = async (operation: Json): Promise<Json> => {
      const params = this.ours.request([...before, operation, { op: 'abort' }]) as readonly Json[];
      return await (await this.ours.client(client)).call('transact', params);
    };
    const select = resultsOf(await run({ op: 'select', table, where, columns: ['_uuid'] }))[
      before.length - 1
    ];
    const rows = isJsonObject(select) && isJsonArray(select['rows']) ? select['rows'] : [];
    for (const row of rows) {
      const uuid = isJsonObject(row) ? (row['_uuid'] ?? null) : null;
      const reply = await run({ ...mutation, where: [['_uuid', '==', uuid]] });
      const found = failure(this.ours.canonical(reply, this.#fixed));
      if (found !== null && formatJson(found.error, true) === formatJson(error, true)) return true;
    }
    this.looseMatches++;
    const hasNew = formatJson(this.ours.canonical(rows, this.#fixed)).includes('"?"');
    return hasNew && rowErrors.some((code) => code === error['error']);
  }

  /** Resolves when both servers have sent what they have to send to a client. */
  async settle(client: string): Promise<void> {
    await Promise.all(
      [this.ours, this.stock].map(async (side) =>
        requireAlive(await (await side.client(client)).call('echo', [])),
      ),
    );
  }

  /** Notifications since the last call. */
  async updates(client: string): Promise<{ ours: string[]; stock: string[] }> {
    const [ours = [], stock = []] = await Promise.all(
      [this.ours, this.stock].map(async (side) => {
        const { notifications } = await side.client(client);
        return notifications
          .splice(0)
          .map(({ method, params }): [string, Json] => {
            const canonical = params.map((p) => side.canonical(p, this.#fixed));
            return [method, withoutEmpty(this.#withoutTxnId(method, canonical))];
          })
          .filter(([, params]) => params !== null)
          .map((json) => formatJson(json, true))
          .sort();
      }),
    );
    return { ours, stock };
  }

  /** The stock server has no transaction ids for a standalone database; ours has. */
  #withoutTxnId(method: string, params: readonly Json[]): readonly Json[] {
    return method === 'update3' ? [params[0] ?? null, params[2] ?? null] : params;
  }

  async close(): Promise<void> {
    for (const side of [this.ours, this.stock]) {
      for (const client of side.clients.values()) client.close();
      await side.server.stop();
    }
  }
}

/** What a mutation may fail with, depending on the row. */
const rowErrors = ['constraint violation', 'range error', 'domain error'];

/** Broken references of several rows or columns: which is named first, and by which end, is chance. */
function bothReferences(a: JsonObject, b: JsonObject): boolean {
  return [a, b].every(
    (error) =>
      error['error'] === 'referential integrity violation' ||
      /weak reference/i.test(formatJson(error['details'] ?? null)),
  );
}

function insertedUuid(result: Json | undefined): string | undefined {
  const uuid = isJsonObject(result) ? result['uuid'] : undefined;
  return isJsonArray(uuid) && typeof uuid[1] === 'string' ? uuid[1] : undefined;
}

/**
 * The stock server tells of a row of which a column changed that is in the condition and not monitored, as of no change; null if
 * nothing is left.
 */
function withoutEmpty(params: readonly Json[]): Json {
  const updates = params.at(-1);
  if (!isJsonObject(updates)) return params;
  const tables: Record<string, Json> = {};
  for (const [table, rows] of Object.entries(updates)) {
    const kept = Object.entries(isJsonObject(rows) ? rows : {}).filter(
      ([, update]) => formatJson(update) !== '{"modify":{}}',
    );
    if (kept.length > 0) tables[table] = Object.fromEntries(kept);
  }
  return Object.keys(tables).length === 0 ? null : [...params.slice(0, -1), tables];
}
