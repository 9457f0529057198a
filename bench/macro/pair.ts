import { Target } from './target.ts';
import type { TargetKind, TargetOptions } from './target.ts';

/** What a section of the bench is given. */
export interface BenchContext {
  /** Switches to measure; both: in turn, A B A B. */
  readonly kinds: readonly TargetKind[];
  /** Measurements of each switch and case; the median is reported. */
  readonly runs: number;
  /** Seconds of one measurement of a rate. */
  readonly seconds: number;
  /** Whether a case is wanted (`--filter`). */
  readonly wants: (table: string, name: string) => boolean;
  readonly add: (table: string, name: string, unit: string, kind: TargetKind, value: number) => void;
  readonly note: (text: string) => void;
  readonly progress: (text: string) => void;
}

/** The switches of one case, all started, all frozen but the one whose turn it is. */
export class Pair {
  readonly #targets: readonly Target[];

  private constructor(targets: readonly Target[]) {
    this.#targets = targets;
  }

  /** Starts one switch of each kind and prepares it. One that cannot is noted and left out. */
  static async start(
    context: BenchContext,
    options: TargetOptions,
    prepare: (target: Target) => Promise<void>,
  ): Promise<Pair> {
    const targets: Target[] = [];
    for (const kind of context.kinds) {
      let target: Target | null = null;
      try {
        target = await Target.start(kind, options);
        await prepare(target);
        target.freeze();
        targets.push(target);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        context.progress(`! ${kind}: ${text}`);
        context.note(
          `${kind === 'ours' ? 'megaflow' : 'OVS'} could not be set up: ${text.split('\n')[0] ?? ''}`,
        );
        await target?.stop();
      }
    }
    return new Pair(targets);
  }

  /** Does something on each switch while the others are frozen. A failure is noted, and goes on. */
  async each(context: BenchContext, what: string, step: (target: Target) => Promise<void>): Promise<void> {
    for (const target of this.#targets) {
      target.thaw();
      try {
        await step(target);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        context.progress(`! ${target.kind}, ${what}: ${text}`);
        context.note(`${what}: ${target.kind === 'ours' ? 'megaflow' : 'OVS'}: ${text.split('\n')[0] ?? ''}`);
      }
      target.freeze();
    }
  }

  /** `runs` rounds over the switches in turn; each step adds its own figures. */
  async rounds(context: BenchContext, what: string, step: (target: Target) => Promise<void>): Promise<void> {
    for (let run = 0; run < context.runs; run++) await this.each(context, what, step);
  }

  async stop(): Promise<void> {
    for (const target of this.#targets) await target.stop();
  }
}
