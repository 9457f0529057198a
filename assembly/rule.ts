import { free } from './memory';

/** Ends the life of a rule block that no reader can hold any more (called by epoch.ts). */
export function ruleReclaim(rule: usize): void {
  free(rule);
}
