import { LinkMonitor, getLink } from '../netlink/rtnetlink.ts';
import type { Link } from '../netlink/rtnetlink.ts';
import { vlog } from '../util/log.ts';
import { netdevEnvironment } from './environment.ts';

/**
 * Keeps the netdevs of kernel devices informed: one subscription for all, read when the event loop
 * says that events wait. Main thread.
 */
export interface LinkWatcher {
  readonly ifindex: number;
  /** `link` is null when the device is gone. */
  onLink(link: Link | null): void;
}

const log = vlog('netdev_linux');
const $watchers = new Map<number, Set<LinkWatcher>>();
let $monitor: LinkMonitor | null = null;

function onChange(link: Link | null, isGone: boolean): void {
  if (link === null) {
    log.warn('netlink receive buffer overflowed');
    for (const [ifindex, watchers] of $watchers) {
      const now = getLink(ifindex, false);
      for (const watcher of watchers) watcher.onLink(now);
    }
    return;
  }
  for (const watcher of $watchers.get(link.ifindex) ?? []) watcher.onLink(isGone ? null : link);
}

/** Takes waiting events now: for callers that just changed something, and want to see it. */
export function runLinkEvents(): number {
  return $monitor?.run() ?? 0;
}

/** Starts to tell `watcher`; the result ends it. */
export function watchLink(watcher: LinkWatcher): () => void {
  const { ifindex } = watcher;
  const watchers = $watchers.get(ifindex) ?? new Set();
  $watchers.set(ifindex, watchers.add(watcher));
  if ($monitor === null) {
    $monitor = new LinkMonitor(onChange);
    $monitor.watch(() => {
      runLinkEvents();
      netdevEnvironment().wakeMain();
    });
  }
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0 && $watchers.get(ifindex) === watchers) $watchers.delete(ifindex);
    if ($watchers.size > 0) return;
    $monitor?.close();
    $monitor = null;
  };
}
