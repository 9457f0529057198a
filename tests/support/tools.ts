import { existsSync } from 'node:fs';
import { join } from 'node:path';

const folders = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'];

/** Path of an installed tool, or null. */
export function findTool(name: string): string | null {
  return folders.map((d) => join(d, name)).find((p) => existsSync(p)) ?? null;
}

export const isRoot = process.getuid?.() === 0;

/**
 * Why tests that need these cannot run here, or null when they can. The reason is printed, so that a
 * run never looks more complete than it is.
 */
export function missing(needs: { tools?: readonly string[]; root?: boolean }): string | null {
  const lacking = (needs.tools ?? []).filter((t) => findTool(t) === null);
  const reasons = [
    ...(lacking.length > 0 ? [`not installed: ${lacking.join(', ')}`] : []),
    ...(needs.root === true && !isRoot ? ['needs root'] : []),
  ];
  if (reasons.length === 0) return null;
  const reason = reasons.join('; ');
  console.warn(`skipped: ${reason}`);
  return reason;
}
