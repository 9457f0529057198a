/**
 * Advisory locks of a server (RFC 7047 §4.1.8): each has one owner and a queue of those who wait.
 */
export interface LockHolder {
  onLocked(name: string): void;
  onStolen(name: string): void;
}

export class LockTable {
  /** Owner first. */
  readonly #queues = new Map<string, LockHolder[]>();

  isOwner(name: string, holder: LockHolder): boolean {
    return this.#queues.get(name)?.[0] === holder;
  }
  /** Whether `holder` owns or awaits the lock. */
  isInvolved(name: string, holder: LockHolder): boolean {
    return this.#queues.get(name)?.includes(holder) === true;
  }

  /** @returns whether the lock is now owned; else `onLocked` tells later. */
  lock(name: string, holder: LockHolder): boolean {
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#queues.set(name, [holder]);
      return true;
    }
    queue.push(holder);
    return false;
  }

  /** Takes the lock from its owner, who is told and becomes the first of those who wait. */
  steal(name: string, holder: LockHolder): void {
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#queues.set(name, [holder]);
      return;
    }
    const [owner] = queue;
    queue.unshift(holder);
    owner?.onStolen(name);
  }

  unlock(name: string, holder: LockHolder): void {
    const queue = this.#queues.get(name);
    const at = queue?.indexOf(holder) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    const [next] = queue;
    if (next === undefined) this.#queues.delete(name);
    // As the stock server, which tells the owner again when another client stops waiting.
    else next.onLocked(name);
  }

  /** Gives back everything that `holder` owns or awaits. */
  release(holder: LockHolder): void {
    for (const name of [...this.#queues.keys()]) {
      while (this.isInvolved(name, holder)) this.unlock(name, holder);
    }
  }
}
