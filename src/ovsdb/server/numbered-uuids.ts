/**
 * Uuids of one random beginning that count: as unique as random ones, and kept as the number alone where there are many
 * (row versions, transaction ids).
 */
import { randomUuid } from '../../util/random.ts';
import type { Random } from '../../util/random.ts';

export class NumberedUuids {
  /** Up to the last group, which has the number. */
  readonly #prefix: string;
  #latest = 0;

  constructor(random: Random) {
    this.#prefix = randomUuid(random).slice(0, 24);
  }

  /** The number of the latest one. */
  get latest(): number {
    return this.#latest;
  }
  next(): number {
    return ++this.#latest;
  }
  text(number: number): string {
    return this.#prefix + number.toString(16).padStart(12, '0');
  }
  /** The number of a uuid of `text`; NaN if it is none of these. */
  numberOf(uuid: string): number {
    return uuid.startsWith(this.#prefix) ? parseInt(uuid.slice(24), 16) : NaN;
  }
}
