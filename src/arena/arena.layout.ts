import type { LayoutSpec } from '../util/layout.ts';

/** The root of the arena, at ARENA_ROOT. */
export const arenaRootLayout = {
  name: 'arena-root',
  size: 4096,
  source: 'megaflow',
  fields: {
    magic: { at: 0, type: 'u32', doc: 'ARENA_MAGIC once initialised.' },
    layoutHash: { at: 4, type: 'u32', doc: 'LAYOUT_HASH of the code that made it.' },
    sizeBytes: { at: 8, type: 'u32', doc: 'Bytes of the memory (0 = 4 GiB).' },
    timeStopped: { at: 16, type: 'u32', doc: '1 after time/stop: clocks read virtualMs.' },
    virtualMs: { at: 24, type: 'f64', doc: 'Virtual nowMs while timeStopped.' },
    tablesVersion: { at: 32, type: 'u64', doc: 'Version of all OpenFlow tables; +1 for each published change.' },
    configGeneration: { at: 40, type: 'u32', doc: 'Generation of the configuration snapshot.' },
    configPtr: { at: 44, type: 'ptr', doc: 'Snapshot bytes (UTF-8 JSON).' },
    configLength: { at: 48, type: 'u32', doc: 'Bytes of the snapshot.' },
    revalSeq: { at: 52, type: 'u32', doc: 'Grows when megaflows must be revalidated.' },
    dumpSeq: { at: 56, type: 'u32', doc: 'Grows when a revalidation round has ended.' },
  },
} as const satisfies LayoutSpec;

export const ARENA_ROOT = 65536;
export const ARENA_MAGIC = 0x6d65_6761;
export const arenaLayouts: readonly LayoutSpec[] = [arenaRootLayout];
