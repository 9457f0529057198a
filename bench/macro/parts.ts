import type { BenchContext } from './pair.ts';
import { Target } from './target.ts';

/** What the drivers of bench/macro give: one figure each. */
export interface Figure {
  readonly case: string;
  readonly unit: string;
  readonly value: number;
}

/** A driver that measures a switch which nobody else uses. */
export interface Part {
  readonly table: string;
  /** The names of goals.table.ts that it has figures for; its others are reported without a goal. */
  readonly cases: readonly string[];
  readonly prepare?: (target: Target) => void;
  readonly measure: (target: Target) => Promise<readonly Figure[]>;
}

/** Measures in turn, with a new switch each time: memory and databases only grow. */
export async function measureParts(context: BenchContext, parts: readonly Part[]): Promise<void> {
  for (const part of parts) {
    if (!part.cases.some((name) => context.wants(part.table, name))) continue;
    for (let run = 0; run < context.runs; run++) {
      for (const kind of context.kinds) {
        const target = await Target.start(kind);
        try {
          part.prepare?.(target);
          for (const { case: name, unit, value } of await part.measure(target)) {
            context.add(part.table, name, unit, kind, value);
            context.progress(`${part.table}: ${name}: ${kind} ${value.toFixed(2)} ${unit}`);
          }
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          const what = `${part.table}: ${part.cases[0] ?? ''}`;
          context.progress(`! ${kind}, ${what}: ${text}`);
          context.note(`${what}: ${kind === 'ours' ? 'megaflow' : 'OVS'}: ${text.split('\n')[0] ?? ''}`);
        }
        await target.stop();
      }
    }
  }
}
