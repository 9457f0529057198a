import type { Core } from '../arena/core.ts';
import { BugError } from '../util/errors.ts';

/**
 * A change of the flow tables under way: what one flow_mod or one bundle does.
 *
 * What it inserts and removes is seen by its own later steps (they look at `version`) but by no reader
 * until that version is published; until then it can be undone. The log has an entry for each step:
 * the rule's address, plus 1 for a removal and 2 when it is told of (rules are 16-byte aligned).
 */
export class TableChange {
  readonly version: number;
  /** Called once the change is published, though it may have had no step. */
  afterCommit: (() => void) | null = null;
  #log = new Uint32Array(2);
  #length = 0;

  constructor(version: number) {
    this.version = version;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  inserted(rule: number): void {
    this.#push(rule);
  }
  /** @param isTold Its owner is to hear of it; the caller has taken a reference for that. */
  removed(rule: number, isTold: boolean): void {
    this.#push(rule + (isTold ? 3 : 1));
  }
  #push(entry: number): void {
    if (this.#length === this.#log.length) {
      const grown = new Uint32Array(4 * this.#length);
      grown.set(this.#log);
      this.#log = grown;
    }
    this.#log[this.#length++] = entry;
  }

  /** Hands out all steps, the last first. */
  undo(remove: (inserted: number) => void, restore: (removed: number, wasTold: boolean) => void): void {
    for (let i = this.#length - 1; i >= 0; i--) {
      const entry = this.#log[i] ?? 0;
      const rule = (entry & ~3) >>> 0;
      if ((entry & 1) === 0) remove(rule);
      else restore(rule, (entry & 2) !== 0);
    }
    this.#length = 0;
  }

  /** Removed rules that are to be told of, in order. */
  *toldRules(): Generator<number> {
    for (let i = 0; i < this.#length; i++) {
      const entry = this.#log[i] ?? 0;
      if ((entry & 2) !== 0) yield (entry & ~3) >>> 0;
    }
  }
}

/** Work that takes several turns of the main loop; each `next` does a slice of some milliseconds at most. */
export type Steps = Generator<void, void, void>;

/**
 * Keeps changes of the tables apart. A long one (a bundle of 100,000 flow_mods, the deletion of a million
 * rules) is done in slices, so that echo requests are answered meanwhile. All tables of the arena share
 * one version, so nothing else may change any bridge's tables between two slices: requests wait, and
 * what cannot wait (a new configuration) finishes the change at once.
 *
 * Threads: main only.
 */
export class TablesGate {
  static readonly #gates = new WeakMap<object, TablesGate>();
  #steps: Steps | null = null;

  /** The one gate of an arena. */
  static of(core: Core): TablesGate {
    let gate = TablesGate.#gates.get(core.memory);
    if (gate === undefined) {
      gate = new TablesGate();
      TablesGate.#gates.set(core.memory, gate);
    }
    return gate;
  }

  /** A sliced change is under way. */
  get isBusy(): boolean {
    return this.#steps !== null;
  }

  /**
   * Does the first slice of a change. @returns True when that was all of it; else the gate is busy, and
   * somebody calls `step` until it is not.
   */
  start(steps: Steps): boolean {
    if (this.#steps !== null) throw new BugError('two changes of the tables at once');
    this.#steps = steps;
    return this.step();
  }

  /** Does a slice. @returns True when nothing is left. */
  step(): boolean {
    const steps = this.#steps;
    if (steps === null) return true;
    let isDone = true;
    try {
      isDone = steps.next().done === true;
    } finally {
      if (isDone) this.#steps = null;
    }
    return isDone;
  }

  /** Does all that is left, whatever it takes. */
  finish(): void {
    while (!this.step());
  }
}
