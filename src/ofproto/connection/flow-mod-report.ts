import type { FlowModCommand } from '../../openflow/messages.ts';

/**
 * The log's account of what a connection does to the flow tables: counted, and told ten seconds after the
 * first change or when the connection ends, at most once a minute under steady load.
 */
export class FlowModReport {
  #adds = 0;
  #deletes = 0;
  #modifications = 0;
  #firstMs = 0;
  #lastMs = 0;
  #backoffMs = 0;
  /** When to report; Infinity while there is nothing. */
  dueMs = Infinity;

  count(command: FlowModCommand, nowMs: number): void {
    if (command === 'add') this.#adds++;
    else if (command.startsWith('delete')) this.#deletes++;
    else this.#modifications++;
    if (this.dueMs === Infinity) {
      this.#firstMs = nowMs;
      this.dueMs = Math.max(nowMs + 10_000, this.#backoffMs);
      this.#backoffMs = this.dueMs + 60_000;
    }
    this.#lastMs = nowMs;
  }

  /** The line to log, and a fresh start; null when nothing was counted. */
  take(nowMs: number): string | null {
    const total = this.#adds + this.#deletes + this.#modifications;
    this.dueMs = Infinity;
    if (total === 0) return null;
    const agoSec = Math.floor((nowMs - this.#firstMs) / 1000);
    const intervalSec = Math.floor((this.#lastMs - this.#firstMs) / 1000);
    const when =
      intervalSec === agoSec
        ? `in the last ${agoSec} s`
        : intervalSec > 0
          ? `in the ${intervalSec} s starting ${agoSec} s ago`
          : `${agoSec} s ago`;
    const kinds = [
      ...(this.#adds > 0 ? [`${this.#adds} adds`] : []),
      ...(this.#deletes > 0 ? [`${this.#deletes} deletes`] : []),
      ...(this.#modifications > 0 ? [`${this.#modifications} modifications`] : []),
    ];
    this.#adds = 0;
    this.#deletes = 0;
    this.#modifications = 0;
    return `${total} flow_mods ${when} (${kinds.join(', ')})`;
  }
}
