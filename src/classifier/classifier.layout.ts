import type { LayoutSpec } from '../util/layout.ts';

export const classifierLayouts: readonly LayoutSpec[] = [];
