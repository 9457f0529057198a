/**
 * A list with layers: what is put in after `open` is gone after `close`, and until then only the top layer is seen.
 *
 * Why: the stack and the action set of a pipeline are put aside and come back whenever a packet is cloned or goes
 * through a patch port. One array serves all layers and all translations, so that none of it is garbage.
 */
export class Layers<T> {
  readonly #items: T[] = [];
  /** Start and end of the top layer. */
  #base = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#base;
  }

  /** Entry `i` of the top layer, which must exist. */
  at(i: number): T {
    return this.#items[this.#base + i] as T;
  }

  push(item: T): void {
    this.#items[this.#end++] = item;
  }

  /** Takes the last entry of the top layer off; undefined when it is empty. */
  pop(): T | undefined {
    return this.#end === this.#base ? undefined : this.#items[--this.#end];
  }

  /** Empties the top layer. */
  clear(): void {
    this.#end = this.#base;
  }

  /** Empties all layers. */
  reset(): void {
    this.#base = this.#end = 0;
  }

  /** Begins a layer, empty or with a copy of what the one below has. @returns What `close` wants. */
  open(copy: boolean): number {
    const mark = this.#base;
    const { length } = this;
    this.#base = this.#end;
    if (copy) for (let i = 0; i < length; i++) this.push(this.#items[mark + i] as T);
    return mark;
  }

  /** Ends the top layer; what was below is as it was. */
  close(mark: number): void {
    this.#end = this.#base;
    this.#base = mark;
  }
}

/** Byte arrays by length that are used again: good until `reset`. */
export class BytePool {
  readonly #byLength: Uint8Array[][] = [];
  readonly #used: number[] = [];

  take(length: number): Uint8Array {
    const list = (this.#byLength[length] ??= []);
    const used = this.#used[length] ?? 0;
    this.#used[length] = used + 1;
    return (list[used] ??= new Uint8Array(length));
  }

  /** All arrays may be handed out again. */
  reset(): void {
    this.#used.fill(0);
  }
}
