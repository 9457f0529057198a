import type { LayoutSpec } from '../../src/util/layout.ts';
import { keyLayout } from '../../src/flow/key.layout.ts';
import { arenaLayouts } from '../../src/arena/arena.layout.ts';
import { classifierLayouts } from '../../src/classifier/classifier.layout.ts';
import { netdevLayouts } from '../../src/netdev/netdev.layout.ts';
import { datapathLayouts } from '../../src/datapath/datapath.layout.ts';
import { ofprotoLayouts } from '../../src/ofproto/ofproto.layout.ts';

/** Every layout, with the layer whose `generated/` folder gets its TypeScript. */
export const layouts: readonly (readonly [layer: string, spec: LayoutSpec])[] = [
  ['flow', keyLayout],
  ...arenaLayouts.map((s) => ['arena', s] as const),
  ...classifierLayouts.map((s) => ['classifier', s] as const),
  ...netdevLayouts.map((s) => ['netdev', s] as const),
  ...datapathLayouts.map((s) => ['datapath', s] as const),
  ...ofprotoLayouts.map((s) => ['ofproto', s] as const),
];
