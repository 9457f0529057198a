/** Commands on bridges: add-br, del-br, list-br, br-exists, br-to-vlan, br-to-parent, external ids. */
import { UsageError } from '../../util/errors.ts';
import { setColumn } from './database-commands.ts';
import type { Bridge, Command, Context, Invocation, Port } from './context.ts';

/** Ends ovs-vsctl with a status and without a message. */
export class ExitStatus extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

/** The number that a text begins with, 0 if none: what is not one is not told. */
export function leadingInteger(text: string): number {
  return Number(/^\s*[-+]?\d+/.exec(text)?.[0] ?? 0);
}

/** @throws UsageError */
function requireName(kind: 'bridge' | 'port' | 'interface', name: string): void {
  if (name === '') throw new UsageError(`${kind} name must not be empty string`);
}

export function checkConflicts(context: Context, name: string, what: string): void {
  if (context.findBridge(name) !== undefined)
    throw new UsageError(`${what} because a bridge named ${name} already exists`);
  const port = context.findPort(name);
  if (port !== undefined) {
    throw new UsageError(`${what} because a port named ${name} already exists on bridge ${port.bridge.name}`);
  }
  const iface = context.findIface(name);
  if (iface !== undefined) {
    throw new UsageError(
      `${what} because an interface named ${name} already exists on bridge ${iface.port.bridge.name}`,
    );
  }
}

export function appendRef(
  context: Context,
  table: string,
  uuid: string,
  column: string,
  refs: readonly string[],
): void {
  context.transaction.verify(table, uuid, column);
  context.writeSet(table, uuid, column, [...context.atoms(table, uuid, column), ...refs]);
}

export function removeRef(context: Context, table: string, uuid: string, column: string, ref: string): void {
  context.transaction.verify(table, uuid, column);
  context.writeSet(
    table,
    uuid,
    column,
    context.atoms(table, uuid, column).filter((atom) => atom !== ref),
  );
}

/** Options must precede the command, so they are told in that order. */
export function described(invocation: Invocation): string {
  const options = [...invocation.options.keys()].map((name) => `--${name} `).join('');
  return `"${options}${[invocation.name, ...invocation.args].join(' ')}"`;
}

const addBridge: Command = {
  minArgs: 1,
  maxArgs: 3,
  options: ['may-exist'],
  run: (context, invocation) => {
    const [name = '', parentName, vlanText] = invocation.args;
    if (parentName !== undefined && vlanText === undefined) {
      throw new UsageError(`'${invocation.name}' command takes exactly 1 or 3 arguments`);
    }
    const vlan = leadingInteger(vlanText ?? '');
    if (vlan < 0 || vlan > 4095) throw new UsageError(`${invocation.name}: vlan must be between 0 and 4095`);
    if (invocation.options.has('may-exist')) {
      const bridge = context.findBridge(name);
      if (bridge !== undefined) {
        checkSameBridge(invocation, bridge, parentName, vlan);
        return undefined;
      }
    }
    requireName('bridge', name);
    checkConflicts(context, name, `cannot create a bridge named ${name}`);
    const { transaction, root } = context;
    if (parentName === undefined) {
      const iface = transaction.insert('Interface', { name, type: 'internal' });
      const port = transaction.insert('Port', { name, interfaces: [iface] });
      const bridge = transaction.insert('Bridge', { name, ports: [port] });
      appendRef(context, 'Open_vSwitch', root, 'bridges', [bridge]);
      context.newIfaces.push(iface);
      return undefined;
    }
    const parent = context.findBridge(parentName);
    if (parent !== undefined && parent.parent !== null)
      throw new UsageError('cannot create bridge with fake bridge as parent');
    if (parent === undefined) throw new UsageError(`parent bridge ${parentName} does not exist`);
    const twin = context.bridges().find((b) => b.parent?.uuid === parent.uuid && b.vlan === vlan);
    if (twin !== undefined)
      throw new UsageError(
        `bridge ${parentName} already has a child VLAN bridge ${twin.name} on VLAN ${vlan}`,
      );
    const iface = transaction.insert('Interface', { name, type: 'internal' });
    const port = transaction.insert('Port', { name, interfaces: [iface], fake_bridge: true, tag: vlan });
    appendRef(context, 'Bridge', parent.uuid, 'ports', [port]);
    context.newIfaces.push(iface);
    return undefined;
  },
};

function checkSameBridge(
  invocation: Invocation,
  bridge: Bridge,
  parentName: string | undefined,
  vlan: number,
): void {
  const { name } = bridge;
  if (parentName === undefined) {
    if (bridge.parent !== null) {
      throw new UsageError(`${described(invocation)} but ${name} is a VLAN bridge for VLAN ${bridge.vlan}`);
    }
    return;
  }
  if (bridge.parent === null)
    throw new UsageError(`${described(invocation)} but ${name} is not a VLAN bridge`);
  if (bridge.parent.name !== parentName) {
    throw new UsageError(`${described(invocation)} but ${name} has the wrong parent ${bridge.parent.name}`);
  }
  if (bridge.vlan !== vlan) {
    throw new UsageError(
      `${described(invocation)} but ${name} is a VLAN bridge for the wrong VLAN ${bridge.vlan}`,
    );
  }
}

function deletePort(context: Context, port: Port): void {
  removeRef(context, 'Bridge', port.bridge.uuid, 'ports', port.uuid);
  for (const iface of context.atoms('Port', port.uuid, 'interfaces'))
    context.transaction.delete('Interface', String(iface));
  context.transaction.delete('Port', port.uuid);
}

const deleteBridge: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [name = ''] = invocation.args;
    const bridge = invocation.options.has('if-exists') ? context.findBridge(name) : context.bridge(name);
    if (bridge === undefined) return undefined;
    if (bridge.parent !== null) {
      for (const port of context.ports().filter((p) => p.bridge.name === name)) deletePort(context, port);
      return undefined;
    }
    for (const port of context.ports().filter((p) => p.bridge.uuid === bridge.uuid))
      deletePort(context, port);
    removeRef(context, 'Open_vSwitch', context.root, 'bridges', bridge.uuid);
    context.transaction.delete('Bridge', bridge.uuid);
    return undefined;
  },
};

const listBridges: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: ['real', 'fake'],
  isReadOnly: true,
  run: (context, invocation) => {
    const isReal = invocation.options.has('real');
    const isFake = invocation.options.has('fake');
    return lines(
      context
        .bridges()
        .filter((b) => isReal === isFake || (isReal ? b.parent === null : b.parent !== null))
        .map((b) => b.name),
    );
  },
};

/** Sorted, one per line. */
function lines(names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => `${name}\n`)
    .join('');
}

const bridgeExists: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    if (context.findBridge(name) === undefined) throw new ExitStatus(2);
    return undefined;
  },
};

const bridgeToVlan: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => `${context.bridge(name).vlan}\n`,
};

const bridgeToParent: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const bridge = context.bridge(name);
    return `${(bridge.parent ?? bridge).name}\n`;
  },
};

/** Where a bridge's external ids are: those of a fake bridge have a prefix in its Port. */
function externalIds(context: Context, bridge: Bridge): { table: string; uuid: string; prefix: string } {
  if (bridge.parent === null) return { table: 'Bridge', uuid: bridge.uuid, prefix: '' };
  return { table: 'Port', uuid: context.findPort(bridge.name)?.uuid ?? '', prefix: 'fake-bridge-' };
}

const setExternalId: Command = {
  minArgs: 2,
  maxArgs: 3,
  options: [],
  run: (context, { args: [name = '', key = '', value] }) => {
    const { table, uuid, prefix } = externalIds(context, context.bridge(name));
    const { keys, values } = context.transaction.datum(table, uuid, 'external_ids');
    const map = new Map(keys.map((k, i) => [k, values?.[i] ?? '']));
    if (value === undefined) map.delete(prefix + key);
    else map.set(prefix + key, value);
    context.transaction.verify(table, uuid, 'external_ids');
    context.transaction.update(table, uuid, { external_ids: map });
    return undefined;
  },
};

const getExternalId: Command = {
  minArgs: 1,
  maxArgs: 2,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = '', key] }) => {
    const { table, uuid, prefix } = externalIds(context, context.bridge(name));
    if (key !== undefined) {
      const value = context.mapText(table, uuid, 'external_ids', prefix + key);
      return value === undefined ? '' : `${value}\n`;
    }
    const { keys, values } = context.transaction.datum(table, uuid, 'external_ids');
    return keys
      .map((k, i) => [String(k), String(values?.[i])] as const)
      .filter(([k]) => k.startsWith(prefix))
      .map(([k, v]) => `${k.slice(prefix.length)}=${v}\n`)
      .join('');
  },
};

function addPortWith(
  context: Context,
  invocation: Invocation,
  name: string,
  ifaceNames: readonly string[],
  settings: readonly string[],
): void {
  const [bridgeName = ''] = invocation.args;
  const bridge = context.bridge(bridgeName);
  if (invocation.options.has('may-exist')) {
    const old = context.findPort(name);
    if (old !== undefined) {
      if (old.bridge.name !== bridgeName) {
        throw new UsageError(
          `${described(invocation)} but ${name} is actually attached to bridge ${old.bridge.name}`,
        );
      }
      const have = context
        .atoms('Port', old.uuid, 'interfaces')
        .map((u) => context.text('Interface', String(u), 'name'))
        .sort();
      if (have.join() !== [...ifaceNames].sort().join()) {
        throw new UsageError(
          `${described(invocation)} but ${name} actually has interface(s) ${have.join(', ')}`,
        );
      }
      return;
    }
  }
  requireName('port', name);
  checkConflicts(context, name, `cannot create a port named ${name}`);
  for (const iface of ifaceNames) requireName('interface', iface);
  for (const iface of ifaceNames)
    if (iface !== name) checkConflicts(context, iface, `cannot create an interface named ${iface}`);
  const { transaction } = context;
  const interfaces = ifaceNames.map((iface) => transaction.insert('Interface', { name: iface }));
  context.newIfaces.push(...interfaces);
  const port = transaction.insert('Port', {
    name,
    interfaces,
    ...(invocation.options.has('fake-iface') ? { bond_fake_iface: true } : {}),
    ...(bridge.parent === null ? {} : { tag: bridge.vlan }),
  });
  const schema = context.idl.table('Port');
  if (schema !== undefined) for (const setting of settings) setColumn(context, schema, port, setting);
  appendRef(context, 'Bridge', bridge.uuid, 'ports', [port]);
}

const addPort: Command = {
  minArgs: 2,
  maxArgs: Infinity,
  options: ['may-exist'],
  run: (context, invocation) => {
    const [, name = '', ...settings] = invocation.args;
    addPortWith(context, invocation, name, [name], settings);
    return undefined;
  },
};

const addBond: Command = {
  minArgs: 4,
  maxArgs: Infinity,
  options: ['may-exist', 'fake-iface'],
  run: (context, invocation) => {
    const [, name = '', ...rest] = invocation.args;
    const at = rest.findIndex((word) => word.includes('='));
    const ifaces = at < 0 ? rest : rest.slice(0, at);
    if (ifaces.length < 2)
      throw new UsageError(
        `add-bond requires at least 2 interfaces, but only ${ifaces.length} were specified`,
      );
    addPortWith(context, invocation, name, ifaces, at < 0 ? [] : rest.slice(at));
    return undefined;
  },
};

const delPort: Command = {
  minArgs: 1,
  maxArgs: 2,
  options: ['if-exists', 'with-iface'],
  run: (context, invocation) => {
    const name = invocation.args.at(-1) ?? '';
    const bridgeName = invocation.args.length === 2 ? invocation.args[0] : undefined;
    const bridge = bridgeName === undefined ? undefined : context.bridge(bridgeName);
    let port = context.findPort(name);
    if (port === undefined && invocation.options.has('with-iface')) port = context.findIface(name)?.port;
    if (port === undefined && invocation.options.has('if-exists')) return undefined;
    if (context.findBridge(port?.name ?? name) !== undefined) {
      throw new UsageError(
        `cannot delete port ${name} because it is the local port for bridge ${name} (deleting this port requires deleting the entire bridge)`,
      );
    }
    if (port === undefined) {
      throw new UsageError(
        `no port ${invocation.options.has('with-iface') ? 'or interface ' : ''}named ${name}`,
      );
    }
    if (bridge !== undefined && port.bridge.name !== bridge.name) {
      if (port.bridge.parent?.name === bridge.name) {
        throw new UsageError(
          `bridge ${bridge.name} does not have a port ${name} (although its child bridge ${port.bridge.name} does)`,
        );
      }
      throw new UsageError(`bridge ${bridge.name} does not have a port ${name}`);
    }
    deletePort(context, port);
    return undefined;
  },
};

const listPorts: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const bridge = context.bridge(name);
    return lines(
      context
        .ports()
        .filter((p) => p.bridge.name === bridge.name && p.name !== bridge.name)
        .map((p) => p.name),
    );
  },
};

const portToBridge: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => `${context.port(name).bridge.name}\n`,
};

const listIfaces: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const bridge = context.bridge(name);
    return lines(
      context
        .ifaces()
        .filter((i) => i.port.bridge.name === bridge.name && i.name !== bridge.name)
        .map((i) => i.name),
    );
  },
};

const ifaceToBridge: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const iface = context.findIface(name);
    if (iface === undefined || context.findBridge(name) !== undefined)
      throw new UsageError(`no interface named ${name}`);
    return `${iface.port.bridge.name}\n`;
  },
};

export const bridgeCommands: Readonly<Record<string, Command>> = {
  'add-br': addBridge,
  'del-br': deleteBridge,
  'list-br': listBridges,
  'br-exists': bridgeExists,
  'br-to-vlan': bridgeToVlan,
  'br-to-parent': bridgeToParent,
  'br-set-external-id': setExternalId,
  'br-get-external-id': getExternalId,
  'add-port': addPort,
  'add-bond': addBond,
  'del-port': delPort,
  'list-ports': listPorts,
  'port-to-br': portToBridge,
  'list-ifaces': listIfaces,
  'iface-to-br': ifaceToBridge,
};
