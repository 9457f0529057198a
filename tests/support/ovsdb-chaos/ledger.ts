/** What a transaction's reply said. */
export type Outcome = 'done' | 'failed' | 'unknown';

/**
 * What was promised: each transaction of a writer leaves one row of the Ledger with the writer's name and its serial number. Rows
 * that were seen may be deleted; that they were is kept here.
 */
export class Ledger {
  readonly #outcomes = new Map<string, Outcome>();
  /** Uuids of the rows by `WRITER SERIAL`. */
  readonly #seen = new Map<string, Set<string>>();

  note(writer: string, serial: number, outcome: Outcome): void {
    const key = `${writer} ${serial}`;
    const before = this.#outcomes.get(key);
    if (before !== undefined) throw new Error(`${key}: ${before}, and then ${outcome}`);
    this.#outcomes.set(key, outcome);
  }
  see(writer: string, serial: number, uuid: string): void {
    const key = `${writer} ${serial}`;
    const uuids = this.#seen.get(key) ?? new Set();
    uuids.add(uuid);
    this.#seen.set(key, uuids);
  }

  count(outcome: Outcome): number {
    return [...this.#outcomes.values()].filter((one) => one === outcome).length;
  }
  /** Transactions of a writer that were seen. */
  seenOf(writer: string): number {
    return [...this.#seen.keys()].filter((key) => key.startsWith(`${writer} `)).length;
  }

  /** @returns what was lost, came twice or was not asked for, a line each */
  faults(): string[] {
    const faults: string[] = [];
    for (const [key, outcome] of this.#outcomes) {
      const count = this.#seen.get(key)?.size ?? 0;
      if (count > 1) faults.push(`${key}: ${outcome}, ${count} times`);
      else if (outcome === 'done' && count === 0) faults.push(`${key}: acknowledged and lost`);
      else if (outcome === 'failed' && count === 1) faults.push(`${key}: refused and there`);
    }
    for (const key of this.#seen.keys()) if (!this.#outcomes.has(key)) faults.push(`${key}: never sent`);
    return faults;
  }
}
