import type { LayoutSpec } from '../util/layout.ts';

export const datapathLayouts: readonly LayoutSpec[] = [];
