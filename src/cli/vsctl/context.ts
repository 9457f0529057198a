/**
 * What a run of ovs-vsctl commands shares: the transaction, which commands read through, the names
 * given by --id, and the bridge/port/interface view of the database.
 */
import type { Atom } from '../../ovsdb/data/atom.ts';
import type { Idl, IdlTransaction } from '../../ovsdb/client/index.ts';
import { findKey } from '../../ovsdb/data/datum.ts';
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { SystemRandom, randomUuid } from '../../util/random.ts';
import { UsageError } from '../../util/errors.ts';
import type { TextTable } from '../table.ts';

/** Thrown by commands that must wait for the database to change (wait-until). */
export class TryAgain extends Error {}

export interface Symbol {
  readonly uuid: string;
  isCreated: boolean;
  isStrongRef: boolean;
}

export interface Bridge {
  readonly name: string;
  /** The Bridge row; that of the parent for a fake bridge. */
  readonly uuid: string;
  readonly parent: Bridge | null;
  readonly vlan: number;
}

export interface Port {
  readonly name: string;
  readonly uuid: string;
  readonly bridge: Bridge;
}

export interface Iface {
  readonly name: string;
  readonly uuid: string;
  readonly port: Port;
}

const $random = new SystemRandom();

export class Context {
  readonly idl: Idl;
  readonly transaction: IdlTransaction;
  /** The Open_vSwitch row. */
  readonly root: string;
  readonly symbols = new Map<string, Symbol>();
  /** Temporary uuids of interfaces added, to be checked after the switch has them. */
  readonly newIfaces: string[] = [];
  /** Warnings to print; a run that is repeated starts anew. */
  readonly warnings: string[] = [];

  constructor(idl: Idl) {
    this.idl = idl;
    this.transaction = idl.transaction();
    this.root = this.transaction.uuids('Open_vSwitch')[0] ?? this.transaction.insert('Open_vSwitch');
  }

  warn(message: string): void {
    this.warnings.push(message);
  }

  /** Rows in the order in which the stock ovs-vsctl, which keeps them in hash tables, walks them. */
  uuids(table: string): string[] {
    const { transaction } = this;
    const all = transaction.uuids(table);
    const isNew = (uuid: string): boolean => transaction.isInserted(uuid);
    const received = hmapOrder(
      all.filter((uuid) => !isNew(uuid)),
      hashString,
    );
    return hmapOrder([...received, ...all.filter(isNew)], (uuid) => Number.parseInt(uuid.slice(0, 8), 16));
  }

  /** The uuid behind `@name`, made up at its first use. */
  symbol(name: string): Symbol {
    let symbol = this.symbols.get(name);
    if (symbol === undefined) {
      symbol = { uuid: randomUuid($random), isCreated: false, isStrongRef: false };
      this.symbols.set(name, symbol);
    }
    return symbol;
  }
  readonly resolve = (name: string): string => {
    const symbol = this.symbol(name.startsWith('@') ? name.slice(1) : name);
    symbol.isStrongRef = true;
    return symbol.uuid;
  };

  atoms(table: string, uuid: string, column: string): readonly Atom[] {
    return this.transaction.datum(table, uuid, column).keys;
  }
  text(table: string, uuid: string, column: string): string {
    const [atom] = this.atoms(table, uuid, column);
    return atom === undefined ? '' : String(atom);
  }
  mapText(table: string, uuid: string, column: string, key: string): string | undefined {
    const datum = this.transaction.datum(table, uuid, column);
    const at = findKey(datum, key);
    return at < 0 ? undefined : String(datum.values?.[at] ?? '');
  }

  /** Writes a set of references or strings. */
  writeSet(table: string, uuid: string, column: string, atoms: readonly Atom[]): void {
    this.transaction.update(table, uuid, { [column]: atoms });
  }

  #realBridges(): Bridge[] {
    return this.atoms('Open_vSwitch', this.root, 'bridges')
      .map(String)
      .filter((uuid) => this.transaction.exists('Bridge', uuid))
      .map((uuid) => ({ uuid, name: this.text('Bridge', uuid, 'name'), parent: null, vlan: 0 }));
  }

  #isFake(port: string): boolean {
    if (this.text('Port', port, 'fake_bridge') !== 'true') return false;
    const [tag] = this.atoms('Port', port, 'tag');
    return tag !== undefined && Number(tag) >= 0 && Number(tag) <= 4095;
  }

  bridges(): Bridge[] {
    const found: Bridge[] = [];
    for (const bridge of this.#realBridges()) {
      found.push(bridge);
      for (const port of this.atoms('Bridge', bridge.uuid, 'ports').map(String)) {
        if (!this.#isFake(port)) continue;
        found.push({
          uuid: bridge.uuid,
          name: this.text('Port', port, 'name'),
          parent: bridge,
          vlan: Number(this.text('Port', port, 'tag')),
        });
      }
    }
    return found;
  }

  ports(): Port[] {
    const bridges = this.bridges();
    const found: Port[] = [];
    for (const real of bridges.filter((b) => b.parent === null)) {
      for (const uuid of this.atoms('Bridge', real.uuid, 'ports').map(String)) {
        if (!this.transaction.exists('Port', uuid)) continue;
        const [tag] = this.atoms('Port', uuid, 'tag');
        const fake = bridges.find(
          (b) => b.parent?.uuid === real.uuid && tag !== undefined && b.vlan === Number(tag),
        );
        found.push({ uuid, name: this.text('Port', uuid, 'name'), bridge: fake ?? real });
      }
    }
    return found;
  }

  ifaces(): Iface[] {
    return this.ports().flatMap((port) =>
      this.atoms('Port', port.uuid, 'interfaces')
        .map(String)
        .filter((uuid) => this.transaction.exists('Interface', uuid))
        .map((uuid) => ({ uuid, name: this.text('Interface', uuid, 'name'), port })),
    );
  }

  findBridge(name: string): Bridge | undefined {
    return this.bridges().find((b) => b.name === name);
  }
  bridge(name: string): Bridge {
    const bridge = this.findBridge(name);
    if (bridge === undefined) throw new UsageError(`no bridge named ${name}`);
    return bridge;
  }
  realBridge(name: string): Bridge {
    const bridge = this.bridge(name);
    if (bridge.parent !== null) throw new UsageError(`${name} is a fake bridge`);
    return bridge;
  }
  findPort(name: string): Port | undefined {
    return this.ports().find((p) => p.name === name);
  }
  port(name: string): Port {
    const port = this.findPort(name);
    if (port === undefined || this.findBridge(name) !== undefined)
      throw new UsageError(`no port named ${name}`);
    return port;
  }
  findIface(name: string): Iface | undefined {
    return this.ifaces().find((i) => i.name === name);
  }
}

/** What a command prints: text now, or something known only after the commit. */
export type CommandOutput = string | TextTable | { readonly createdUuid: string } | undefined;

/** One command of the command line. */
export interface Invocation {
  readonly name: string;
  readonly args: readonly string[];
  /** Options given, by name without dashes; null if without value. */
  readonly options: ReadonlyMap<string, string | null>;
}

export interface Command {
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Names of its options; `name=` takes a value. */
  readonly options: readonly string[];
  readonly isReadOnly?: boolean;
  run(context: Context, invocation: Invocation): CommandOutput;
}
