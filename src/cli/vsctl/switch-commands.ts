/** init, emer-reset, and the commands on controllers, fail mode, managers and SSL. */
import { UsageError } from '../../util/errors.ts';
import { leadingInteger } from './bridge-commands.ts';
import type { Command, Context, Invocation } from './context.ts';
import { show } from './show.ts';

const init: Command = { minArgs: 0, maxArgs: 0, options: [], run: () => undefined };

const emerReset: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  run: (context) => {
    const { transaction, root } = context;
    transaction.update('Open_vSwitch', root, { manager_options: [], ssl: [] });
    for (const uuid of transaction.uuids('Bridge')) {
      const hwaddr = context.mapText('Bridge', uuid, 'other_config', 'hwaddr');
      transaction.update('Bridge', uuid, {
        controller: [],
        fail_mode: null,
        mirrors: [],
        netflow: [],
        sflow: [],
        ipfix: [],
        flood_vlans: [],
        other_config: hwaddr === undefined ? {} : { hwaddr },
      });
    }
    for (const uuid of transaction.uuids('Port')) transaction.update('Port', uuid, { other_config: {} });
    for (const uuid of transaction.uuids('Interface')) {
      transaction.update('Interface', uuid, { ingress_policing_rate: 0, ingress_policing_burst: 0 });
    }
    for (const table of [
      'Mirror',
      'Controller',
      'Manager',
      'NetFlow',
      'SSL',
      'sFlow',
      'IPFIX',
      'Flow_Sample_Collector_Set',
    ]) {
      for (const uuid of transaction.uuids(table)) transaction.delete(table, uuid);
    }
    return undefined;
  },
};

function probeOption(invocation: Invocation): { inactivity_probe?: number } {
  const text = invocation.options.get('inactivity-probe');
  if (typeof text !== 'string') return {};
  return { inactivity_probe: leadingInteger(text) };
}

function targets(context: Context, table: string, uuids: readonly unknown[]): string {
  return uuids
    .map((uuid) => context.text(table, String(uuid), 'target'))
    .sort()
    .map((target) => `${target}\n`)
    .join('');
}

const getController: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const { uuid } = context.bridge(name);
    context.transaction.verify('Bridge', uuid, 'controller');
    return targets(context, 'Controller', context.atoms('Bridge', uuid, 'controller'));
  },
};

function deleteControllers(context: Context, bridge: string): void {
  const old = context.atoms('Bridge', bridge, 'controller');
  context.transaction.verify('Bridge', bridge, 'controller');
  for (const uuid of old) context.transaction.delete('Controller', String(uuid));
  context.writeSet('Bridge', bridge, 'controller', []);
}

const delController: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  run: (context, { args: [name = ''] }) => {
    const { uuid } = context.realBridge(name);
    if (context.atoms('Bridge', uuid, 'controller').length > 0) deleteControllers(context, uuid);
    return undefined;
  },
};

const setController: Command = {
  minArgs: 1,
  maxArgs: Infinity,
  options: ['inactivity-probe='],
  run: (context, invocation) => {
    const [name = '', ...rest] = invocation.args;
    const { uuid } = context.realBridge(name);
    const probe = probeOption(invocation);
    deleteControllers(context, uuid);
    for (const target of rest) checkTarget(context, target);
    context.writeSet(
      'Bridge',
      uuid,
      'controller',
      rest.map((target) => context.transaction.insert('Controller', { target, ...probe })),
    );
    return undefined;
  },
};

function checkTarget(context: Context, target: string): void {
  if (!/^p?(tcp|ssl|unix):/.test(target)) context.warn(`target type "${target}" is possibly erroneous`);
}

const getFailMode: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const mode = context.text('Bridge', context.bridge(name).uuid, 'fail_mode');
    return mode === '' ? '' : `${mode}\n`;
  },
};

const delFailMode: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  run: (context, { args: [name = ''] }) => {
    context.transaction.update('Bridge', context.realBridge(name).uuid, { fail_mode: null });
    return undefined;
  },
};

const setFailMode: Command = {
  minArgs: 2,
  maxArgs: 2,
  options: [],
  run: (context, { args: [name = '', mode = ''] }) => {
    const { uuid } = context.realBridge(name);
    if (mode !== 'standalone' && mode !== 'secure')
      throw new UsageError('fail-mode must be "standalone" or "secure"');
    context.transaction.update('Bridge', uuid, { fail_mode: mode });
    return undefined;
  },
};

const getManager: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  isReadOnly: true,
  run: (context) =>
    targets(context, 'Manager', context.atoms('Open_vSwitch', context.root, 'manager_options')),
};

function deleteManagers(context: Context): void {
  const { transaction, root } = context;
  const old = context.atoms('Open_vSwitch', root, 'manager_options');
  transaction.verify('Open_vSwitch', root, 'manager_options');
  for (const uuid of old) transaction.delete('Manager', String(uuid));
  context.writeSet('Open_vSwitch', root, 'manager_options', []);
}

const delManager: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  run: (context) => {
    deleteManagers(context);
    return undefined;
  },
};

const setManager: Command = {
  minArgs: 1,
  maxArgs: Infinity,
  options: ['inactivity-probe='],
  run: (context, invocation) => {
    const probe = probeOption(invocation);
    deleteManagers(context);
    for (const target of invocation.args) checkTarget(context, target);
    const managers = invocation.args.map((target) =>
      context.transaction.insert('Manager', { target, ...probe }),
    );
    context.writeSet('Open_vSwitch', context.root, 'manager_options', managers);
    return undefined;
  },
};

const getSsl: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  isReadOnly: true,
  run: (context) => {
    const [uuid] = context.atoms('Open_vSwitch', context.root, 'ssl');
    if (uuid === undefined) return '';
    const text = (column: string): string => context.text('SSL', String(uuid), column);
    return (
      `Private key: ${text('private_key')}\nCertificate: ${text('certificate')}\n` +
      `CA Certificate: ${text('ca_cert')}\nBootstrap: ${text('bootstrap_ca_cert')}\n`
    );
  },
};

function deleteSsl(context: Context): void {
  for (const uuid of context.atoms('Open_vSwitch', context.root, 'ssl'))
    context.transaction.delete('SSL', String(uuid));
  context.writeSet('Open_vSwitch', context.root, 'ssl', []);
}

const delSsl: Command = {
  minArgs: 0,
  maxArgs: 0,
  options: [],
  run: (context) => {
    deleteSsl(context);
    return undefined;
  },
};

const setSsl: Command = {
  minArgs: 3,
  maxArgs: 3,
  options: ['bootstrap'],
  run: (context, invocation) => {
    const [private_key = '', certificate = '', ca_cert = ''] = invocation.args;
    deleteSsl(context);
    const bootstrap_ca_cert = invocation.options.has('bootstrap');
    const ssl = context.transaction.insert('SSL', { private_key, certificate, ca_cert, bootstrap_ca_cert });
    context.writeSet('Open_vSwitch', context.root, 'ssl', [ssl]);
    return undefined;
  },
};

export const switchCommands: Readonly<Record<string, Command>> = {
  init,
  show,
  'emer-reset': emerReset,
  'get-controller': getController,
  'del-controller': delController,
  'set-controller': setController,
  'get-fail-mode': getFailMode,
  'del-fail-mode': delFailMode,
  'set-fail-mode': setFailMode,
  'get-manager': getManager,
  'del-manager': delManager,
  'set-manager': setManager,
  'get-ssl': getSsl,
  'del-ssl': delSsl,
  'set-ssl': setSsl,
};
