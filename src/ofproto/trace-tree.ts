import type { PortMap } from '../flow/port-map.ts';
import { noPorts } from '../flow/port-map.ts';
import type { Action } from '../openflow/actions.ts';
import { formatActions } from '../openflow/format-actions.ts';
import type { XBridge } from './snapshot.ts';
import type { TraceKind, TraceSink } from './translate/types.ts';

interface TraceNode {
  readonly kind: TraceKind;
  readonly text: string;
  readonly subs: TraceNode[];
}

/** Collects a translation's reports as a tree and prints it as `ofproto/trace` does. */
export class TraceTree implements TraceSink {
  readonly #root: TraceNode[] = [];
  readonly #open: TraceNode[][] = [this.#root];
  readonly #useNames: boolean;

  constructor(useNames: boolean) {
    this.#useNames = useNames;
  }

  ports(bridge: XBridge): PortMap {
    return this.#useNames ? bridgePorts(bridge) : noPorts;
  }

  formatActions(actions: readonly Action[], ports: PortMap): string {
    return formatActions(actions, ports);
  }

  report(kind: TraceKind, text: string): void {
    this.#top().push({ kind, text, subs: [] });
  }

  enter(kind: TraceKind, text: string): void {
    const node: TraceNode = { kind, text, subs: [] };
    this.#top().push(node);
    this.#open.push(node.subs);
  }

  leave(): void {
    if (this.#open.length > 1) this.#open.pop();
  }

  /** The tree as text, each line ended. */
  toString(): string {
    const lines: string[] = [];
    print(lines, this.#root, 0);
    return lines.map((l) => `${l}\n`).join('');
  }

  #top(): TraceNode[] {
    return this.#open.at(-1) ?? this.#root;
  }
}

/** Names of a bridge's ports, for reading and printing flows. */
export function bridgePorts(bridge: XBridge): PortMap {
  return {
    byName: (name) => bridge.ports.find((p) => p.name === name)?.ofp,
    byNumber: (port) => bridge.port(port)?.name,
  };
}

/**
 * Prints nodes: what is last of its list and has children of its own stays at the list's indentation,
 * so that chains of resubmits do not drift to the right.
 */
function print(lines: string[], nodes: readonly TraceNode[], level: number): void {
  nodes.forEach((node, i) => {
    const isLeaf =
      node.kind === 'action' || node.kind === 'detail' || node.kind === 'warn' || node.kind === 'error';
    const more = i < nodes.length - 1 || isLeaf ? 1 : 0;
    const indent = ' '.repeat((level + more) * 4);
    switch (node.kind) {
      case 'detail':
        lines.push(`${indent} -> ${node.text}`);
        break;
      case 'warn':
        lines.push(`${indent} >> ${node.text}`);
        break;
      case 'error':
        lines.push(`${indent} >>>> ${node.text} <<<<`);
        break;
      case 'bridge':
        lines.push('', indent + node.text, indent + '-'.repeat(node.text.length));
        break;
      default:
        lines.push(indent + node.text);
    }
    print(lines, node.subs, level + more + more);
  });
}
