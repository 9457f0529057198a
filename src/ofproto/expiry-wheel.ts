/**
 * Which rules to look at for time-outs, and when.
 *
 * What: a wheel of `slots` seconds. A rule waits in the slot of its earliest possible expiry, at
 * most one turn ahead; when that comes the owner looks at the rule and either expires it or puts it back.
 *
 * Why: rules are arena records without JavaScript objects, there may be a million of them, and looking at all
 * every second would cost more than the switch. So a rule is looked at once a turn.
 *
 * The wheel holds addresses only; the owner keeps a reference on each rule that is in it.
 */
const slots = 16;

export class ExpiryWheel {
  readonly #lists: AddressList[] = Array.from({ length: slots }, () => new AddressList());
  #second: number;
  size = 0;

  constructor(nowMs: number) {
    this.#second = Math.floor(nowMs / 1000);
  }

  /** Puts a rule in; it comes out at the first `due` at or after `deadlineMs`, or after a turn. */
  add(rule: number, deadlineMs: number): void {
    const ahead = Math.floor(deadlineMs / 1000) + 1 - this.#second;
    const slot = this.#second + Math.min(Math.max(ahead, 1), slots - 1);
    this.#lists[slot % slots]?.push(rule);
    this.size++;
  }

  /** Hands out every rule whose second has come. Rules that `visit` adds again wait for a later call. */
  due(nowMs: number, visit: (rule: number) => void): void {
    const now = Math.floor(nowMs / 1000);
    const taken: AddressList[] = [];
    for (let turns = 0; this.#second < now && turns < slots; turns++) {
      this.#second++;
      const at = this.#second % slots;
      const list = this.#lists[at];
      if (list !== undefined && list.length > 0) {
        taken.push(list);
        this.#lists[at] = new AddressList();
      }
    }
    this.#second = Math.max(this.#second, now);
    for (const list of taken) {
      this.size -= list.length;
      list.forEach(visit);
    }
  }

  /** Hands out everything. */
  drain(visit: (rule: number) => void): void {
    for (let i = 0; i < slots; i++) {
      const list = this.#lists[i];
      this.#lists[i] = new AddressList();
      list?.forEach(visit);
    }
    this.size = 0;
  }
}

/** A growing array of u32. */
class AddressList {
  #items = new Uint32Array(8);
  length = 0;

  push(value: number): void {
    if (this.length === this.#items.length) {
      const grown = new Uint32Array(2 * this.length);
      grown.set(this.#items);
      this.#items = grown;
    }
    this.#items[this.length++] = value;
  }
  forEach(visit: (value: number) => void): void {
    for (let i = 0; i < this.length; i++) visit(this.#items[i] ?? 0);
  }
}
