import { LAYOUT_HASH } from './generated/layout-hash';

/** Hash of all layouts, compared at start with the one TypeScript was generated with. */
export function layoutHash(): u32 {
  return LAYOUT_HASH;
}
