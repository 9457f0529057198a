/**
 * The latest transactions of a database: a client that comes back names the last one it has seen
 * (`monitor_cond_since`, ovsdb-server(7)) and gets only what it missed.
 *
 * Ids hold for one run of the server and one database in it: a random part, then a number. The stock
 * server keeps a history for clustered databases only and sends zeros for others; the document does not
 * make that difference.
 */
import type { Random } from '../../util/random.ts';
import type { Changes, RowChange } from './database.ts';
import { NumberedUuids } from './numbered-uuids.ts';

/** As many as the stock server keeps. */
const maxTransactions = 100;

export class TransactionHistory {
  readonly #ids: NumberedUuids;
  /** The latest transactions, the last one being that of `#ids.latest`. */
  readonly #entries: Changes[] = [];
  #changes = 0;

  constructor(random: Random) {
    this.#ids = new NumberedUuids(random);
  }

  /** Those that are kept, oldest first. */
  get entries(): readonly Changes[] {
    return this.#entries;
  }
  /** Id of the latest transaction. */
  get latestId(): string {
    return this.#ids.text(this.#ids.latest);
  }

  /** @param rowCount Rows of the database: a longer history would cost more than sending all of them. */
  add(changes: Changes, rowCount: number): void {
    this.#ids.next();
    this.#entries.push(changes);
    this.#changes += changes.length;
    while (
      this.#entries.length > maxTransactions ||
      (this.#entries.length > 1 && this.#changes > Math.max(rowCount, maxTransactions))
    ) {
      this.#changes -= this.#entries.shift()?.length ?? 0;
    }
  }

  /**
   * What happened after transaction `id`, one change a row.
   *
   * @returns null if that is not known
   */
  since(id: string): Changes | null {
    const missed = this.#ids.latest - this.#ids.numberOf(id);
    if (!(missed >= 0 && missed <= this.#entries.length)) return null;
    const rows = new Map<string, RowChange>();
    for (const change of this.#entries.slice(this.#entries.length - missed).flat()) {
      const key = `${change.table.schema.name} ${change.uuid}`;
      const first = rows.get(key);
      rows.set(key, first === undefined ? change : { ...first, new: change.new });
    }
    return [...rows.values()].filter((change) => change.old !== undefined || change.new !== undefined);
  }
}
