/** Lets writers through, one transaction at a time, unless it is shut; who shuts it waits until none is under way. */
export class Gate {
  #open: Promise<void> = Promise.resolve();
  readonly #underWay = new Set<Promise<unknown>>();

  async through<T>(act: () => Promise<T>): Promise<T> {
    // Shut again when it opened: wait on.
    for (let open: Promise<void> | null = null; open !== this.#open;) {
      open = this.#open;
      await open;
    }
    const acting = act();
    this.#underWay.add(acting);
    try {
      return await acting;
    } finally {
      this.#underWay.delete(acting);
    }
  }

  /** Runs `act` while nobody else does anything. */
  async alone(act: () => Promise<void>): Promise<void> {
    let open: () => void = () => undefined;
    this.#open = new Promise((resolve) => (open = resolve));
    try {
      await Promise.allSettled([...this.#underWay]);
      await act();
    } finally {
      open();
    }
  }
}
