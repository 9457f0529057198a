import type { Core } from '../../arena/core.ts';
import {
  setPmdPerfLogAfter,
  setPmdPerfLogBefore,
  setPmdPerfLogEnabled,
  setPmdPerfLogExtend,
  setPmdPerfLogQueue,
  setPmdPerfLogUs,
} from '../../datapath/generated/pmd-perf.ts';
import { vlog } from '../../util/log.ts';

const log = vlog('pmd_perf');

/** dpif-netdev/pmd-perf-log-set: which iterations are suspicious, and how many around them are logged. */
export class PerfLog {
  #isOn = false;
  #before = 5;
  #after = 5;
  #extends = false;
  #us = 250;
  #queue = 128;

  /** @param most Iterations that a history holds. @returns False, and nothing changed, if a word is wrong. */
  set(args: readonly string[], most: number): boolean {
    const next = { isOn: this.#isOn, extends: this.#extends };
    const numbers = { '-b': this.#before, '-a': this.#after, '-us': this.#us, '-q': this.#queue };
    for (let i = 0; i < args.length; i++) {
      const word = args[i] ?? '';
      if (word === 'on' || word === 'off') next.isOn = word === 'on';
      else if (word === '-e' || word === '-ne') next.extends = word === '-e';
      else if (word === '-b' || word === '-a' || word === '-us' || word === '-q') {
        const value = args[++i] ?? '';
        if (!/^\d+$/.test(value)) return false;
        numbers[word] = Math.min(Number(value), 0xffff_ffff);
      } else return false;
    }
    this.#isOn = next.isOn;
    this.#extends = next.extends;
    this.#before = Math.min(numbers['-b'], most);
    this.#after = Math.min(numbers['-a'], most - this.#before);
    this.#us = numbers['-us'];
    this.#queue = numbers['-q'];
    log.info(
      `pmd-perf-log-set: ${this.#isOn ? 'on' : 'off'}, before=${this.#before}, after=${this.#after}, ` +
        `extend=${this.#extends}, us_thr=${this.#us}, q_thr=${this.#queue}`,
    );
    return true;
  }

  /** Tells the thread whose metrics are at `perf`. */
  applyTo({ dv }: Core, perf: number): void {
    setPmdPerfLogBefore(dv, perf, this.#before);
    setPmdPerfLogAfter(dv, perf, this.#after);
    setPmdPerfLogExtend(dv, perf, Number(this.#extends));
    setPmdPerfLogUs(dv, perf, this.#us);
    setPmdPerfLogQueue(dv, perf, this.#queue);
    setPmdPerfLogEnabled(dv, perf, Number(this.#isOn));
  }
}
