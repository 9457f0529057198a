/**
 * Named counters, OVS's `coverage/show`. A counter is declared once at module level and bumped from
 * anywhere in the same thread; names are OVS's where OVS has one.
 */
export class Counter {
  readonly name: string;
  total = 0;
  constructor(name: string) {
    this.name = name;
  }
  add(n = 1): void {
    this.total += n;
  }
}

const $counters = new Map<string, Counter>();

/** Declares a counter, or returns the one already declared under this name. */
export function counter(name: string): Counter {
  let c = $counters.get(name);
  if (c === undefined) {
    c = new Counter(name);
    $counters.set(name, c);
  }
  return c;
}

/** All counters of this thread, by name. */
export function counters(): ReadonlyMap<string, Counter> {
  return $counters;
}
