/**
 * Advisory locks of a server (RFC 7047 §4.1.8): each has one owner and a queue of those who wait.
 */
export interface LockHolder {
  onLocked(name: string): void;
  onStolen(name: string): void;
}

interface Entry {
  readonly holder: LockHolder;
  /** Came by `steal`, which does not wait: if it is stolen in turn it is over. */
  readonly isThief: boolean;
  /** Once owned and then taken by another. */
  isLost: boolean;
}

/** Names of locks, as the status of a connection tells them. */
export interface LockNames {
  readonly held: readonly string[];
  readonly waiting: readonly string[];
  readonly lost: readonly string[];
}

export class LockTable {
  /** Owner first. */
  readonly #queues = new Map<string, Entry[]>();
  /** Thieves who were stolen from, until they unlock. */
  readonly #robbed = new Map<string, Set<LockHolder>>();

  isOwner(name: string, holder: LockHolder): boolean {
    return this.#queues.get(name)?.[0]?.holder === holder;
  }
  /** Whether `holder` owns or awaits the lock, or has to unlock it for another reason. */
  isInvolved(name: string, holder: LockHolder): boolean {
    const isQueued = this.#queues.get(name)?.some((entry) => entry.holder === holder) === true;
    return isQueued || this.#robbed.get(name)?.has(holder) === true;
  }

  /** The locks with which `holder` has to do. */
  namesOf(holder: LockHolder): LockNames {
    const names = { held: [] as string[], waiting: [] as string[], lost: [] as string[] };
    for (const [name, queue] of this.#queues) {
      const at = queue.findIndex((entry) => entry.holder === holder);
      if (at < 0) continue;
      const list = at === 0 ? names.held : queue[at]?.isLost === true ? names.lost : names.waiting;
      list.push(name);
    }
    for (const [name, robbed] of this.#robbed) if (robbed.has(holder)) names.lost.push(name);
    return names;
  }

  /** @returns whether the lock is now owned; else `onLocked` tells later. */
  lock(name: string, holder: LockHolder): boolean {
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#queues.set(name, [{ holder, isThief: false, isLost: false }]);
      return true;
    }
    queue.push({ holder, isThief: false, isLost: false });
    return false;
  }

  /** Takes the lock from its owner, who is told and becomes the first of those who wait, unless it was stolen before. */
  steal(name: string, holder: LockHolder): void {
    const queue = this.#queues.get(name);
    if (queue === undefined) {
      this.#queues.set(name, [{ holder, isThief: true, isLost: false }]);
      return;
    }
    const [owner] = queue;
    if (owner?.isThief === true) {
      queue.shift();
      this.#robbed.set(name, (this.#robbed.get(name) ?? new Set<LockHolder>()).add(owner.holder));
    }
    queue.unshift({ holder, isThief: true, isLost: false });
    if (owner === undefined) return;
    owner.isLost = true;
    owner.holder.onStolen(name);
  }

  unlock(name: string, holder: LockHolder): void {
    const robbed = this.#robbed.get(name);
    if (robbed?.delete(holder) === true) {
      if (robbed.size === 0) this.#robbed.delete(name);
      return;
    }
    const queue = this.#queues.get(name);
    const at = queue?.findIndex((entry) => entry.holder === holder) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    const [next] = queue;
    if (next === undefined) this.#queues.delete(name);
    else {
      next.isLost = false;
      // As the stock server, which tells the owner again when another client stops waiting.
      next.holder.onLocked(name);
    }
  }

  /** Gives back everything that `holder` owns or awaits. */
  release(holder: LockHolder): void {
    for (const name of new Set([...this.#queues.keys(), ...this.#robbed.keys()])) {
      while (this.isInvolved(name, holder)) this.unlock(name, holder);
    }
  }
}
