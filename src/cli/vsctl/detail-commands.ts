/** Commands on the interfaces of bonds, Auto Attach mappings, conntrack zones and datapath capabilities. */
import { UsageError } from '../../util/errors.ts';
import { appendRef, checkConflicts, described, removeRef } from './bridge-commands.ts';
import type { Command, Context } from './context.ts';

const addBondIface: Command = {
  minArgs: 2,
  maxArgs: 2,
  options: ['may-exist'],
  run: (context, invocation) => {
    const [portName = '', name = ''] = invocation.args;
    const port = context.port(portName);
    if (invocation.options.has('may-exist')) {
      const iface = context.findIface(name);
      if (iface !== undefined) {
        if (iface.port.uuid === port.uuid) return undefined;
        throw new UsageError(
          `${described(invocation)} but ${name} is actually attached to port ${iface.port.name}`,
        );
      }
    }
    checkConflicts(context, name, `cannot create an interface named ${name}`);
    const iface = context.transaction.insert('Interface', { name });
    context.newIfaces.push(iface);
    appendRef(context, 'Port', port.uuid, 'interfaces', [iface]);
    return undefined;
  },
};

const delBondIface: Command = {
  minArgs: 1,
  maxArgs: 2,
  options: ['if-exists'],
  run: (context, invocation) => {
    const name = invocation.args.at(-1) ?? '';
    const portName = invocation.args.length === 2 ? invocation.args[0] : undefined;
    const iface = context.findIface(name);
    if (iface === undefined) {
      if (invocation.options.has('if-exists')) return undefined;
      throw new UsageError(`no interface named ${name}`);
    }
    if (portName !== undefined && context.port(portName).uuid !== iface.port.uuid) {
      throw new UsageError(`port ${portName} does not have an interface ${name}`);
    }
    if (context.atoms('Port', iface.port.uuid, 'interfaces').length < 2) {
      throw new UsageError(`cannot delete last interface from port ${iface.port.name}`);
    }
    removeRef(context, 'Port', iface.port.uuid, 'interfaces', iface.uuid);
    context.transaction.delete('Interface', iface.uuid);
    return undefined;
  },
};

function wholeNumber(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new UsageError(`Invalid argument ${text}`);
  return Number(text);
}

/** Pairs of an integer map, in the order of their keys. */
function pairs(
  context: Context,
  table: string,
  uuid: string,
  column: string,
): (readonly [number, unknown])[] {
  const { keys, values } = context.transaction.datum(table, uuid, column);
  return keys.map((key, i) => [Number(key), values?.[i]] as const);
}

const addAaMapping: Command = {
  minArgs: 3,
  maxArgs: 3,
  options: [],
  run: (context, { args: [bridgeName = '', isidText = '', vlanText = ''] }) => {
    const [isid, vlan] = [wholeNumber(isidText), wholeNumber(vlanText)];
    const bridge = context.bridge(bridgeName);
    let uuid = context.atoms('Bridge', bridge.uuid, 'auto_attach')[0];
    if (uuid === undefined) {
      uuid = context.transaction.insert('AutoAttach');
      context.writeSet('Bridge', bridge.uuid, 'auto_attach', [uuid]);
    }
    const mappings = new Map(
      pairs(context, 'AutoAttach', String(uuid), 'mappings').map(([k, v]) => [k, Number(v)]),
    );
    if (mappings.has(isid)) return undefined;
    mappings.set(isid, vlan);
    context.transaction.verify('AutoAttach', String(uuid), 'mappings');
    context.transaction.update('AutoAttach', String(uuid), { mappings });
    return undefined;
  },
};

const delAaMapping: Command = {
  minArgs: 3,
  maxArgs: 3,
  options: [],
  run: (context, { args: [bridgeName = '', isidText = '', vlanText = ''] }) => {
    const [isid, vlan] = [wholeNumber(isidText), wholeNumber(vlanText)];
    const [uuid] = context.atoms('Bridge', context.bridge(bridgeName).uuid, 'auto_attach');
    if (uuid === undefined) return undefined;
    const kept = pairs(context, 'AutoAttach', String(uuid), 'mappings').filter(
      ([k, v]) => k !== isid || Number(v) !== vlan,
    );
    context.transaction.verify('AutoAttach', String(uuid), 'mappings');
    context.transaction.update('AutoAttach', String(uuid), {
      mappings: new Map(kept.map(([k, v]) => [k, Number(v)])),
    });
    return undefined;
  },
};

const getAaMapping: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [bridgeName = ''] }) => {
    const [uuid] = context.atoms('Bridge', context.bridge(bridgeName).uuid, 'auto_attach');
    if (uuid === undefined) return '';
    return pairs(context, 'AutoAttach', String(uuid), 'mappings')
      .map(([isid, vlan]) => `${isid} ${Number(vlan)}\n`)
      .join('');
  },
};

function findDatapath(context: Context, name: string): string | undefined {
  const { keys, values } = context.transaction.datum('Open_vSwitch', context.root, 'datapaths');
  const at = keys.indexOf(name);
  return at < 0 ? undefined : String(values?.[at]);
}

function datapath(context: Context, name: string): string {
  const uuid = findDatapath(context, name);
  if (uuid === undefined) throw new UsageError(`datapath ${name} does not exist`);
  return uuid;
}

function zoneNumber(text: string): number {
  const match = /^zone=(-?\d+)$/.exec(text);
  if (match === null) throw new UsageError(`${text}: expected zone=ZONE_ID`);
  return Number(match[1]);
}

function zones(context: Context, uuid: string): Map<number, string> {
  return new Map(pairs(context, 'Datapath', uuid, 'ct_zones').map(([zone, row]) => [zone, String(row)]));
}

const addZoneTp: Command = {
  minArgs: 3,
  maxArgs: Infinity,
  options: ['may-exist'],
  run: (context, invocation) => {
    const [name = '', zoneText = '', ...policies] = invocation.args;
    const uuid = datapath(context, name);
    const zone = zoneNumber(zoneText);
    const known = zones(context, uuid);
    if (known.has(zone)) {
      if (invocation.options.has('may-exist')) return undefined;
      throw new UsageError(`zone id ${zone} already exists`);
    }
    const timeouts = new Map(
      policies.map((policy) => {
        const equals = policy.indexOf('=');
        if (equals < 0) throw new UsageError(`${policy}: expected KEY=VALUE`);
        return [policy.slice(0, equals), Number.parseInt(policy.slice(equals + 1), 10) || 0];
      }),
    );
    const policy = context.transaction.insert('CT_Timeout_Policy', { timeouts });
    known.set(zone, context.transaction.insert('CT_Zone', { timeout_policy: policy }));
    context.transaction.verify('Datapath', uuid, 'ct_zones');
    context.transaction.update('Datapath', uuid, { ct_zones: known });
    return undefined;
  },
};

const delZoneTp: Command = {
  minArgs: 2,
  maxArgs: 2,
  options: ['if-exists'],
  run: (context, invocation) => {
    const [name = '', zoneText = ''] = invocation.args;
    const uuid = datapath(context, name);
    const zone = zoneNumber(zoneText);
    const known = zones(context, uuid);
    if (!known.delete(zone)) {
      if (invocation.options.has('if-exists')) return undefined;
      throw new UsageError(`zone id ${zone} does not exist`);
    }
    context.transaction.verify('Datapath', uuid, 'ct_zones');
    context.transaction.update('Datapath', uuid, { ct_zones: known });
    return undefined;
  },
};

const listZoneTp: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const uuid = findDatapath(context, name);
    if (uuid === undefined) throw new UsageError(`datapath: ${name} record not found`);
    let out = '';
    for (const [zone, row] of zones(context, uuid)) {
      const [policy] = context.atoms('CT_Zone', row, 'timeout_policy');
      const { keys, values } =
        policy === undefined
          ? { keys: [], values: [] }
          : context.transaction.datum('CT_Timeout_Policy', String(policy), 'timeouts');
      const texts = keys.map((key, i) => `${String(key)}=${String(values?.[i])}`);
      out += `Zone:${zone}, Timeout Policies: ${policy === undefined ? 'system default' : texts.join(' ')}\n`;
    }
    return out;
  },
};

const listDpCap: Command = {
  minArgs: 1,
  maxArgs: 1,
  options: [],
  isReadOnly: true,
  run: (context, { args: [name = ''] }) => {
    const uuid = findDatapath(context, name);
    if (uuid === undefined) throw new UsageError(`datapath "${name}" record not found`);
    const { keys, values } = context.transaction.datum('Datapath', uuid, 'capabilities');
    return `${keys.map((key, i) => `${String(key)}=${String(values?.[i])}`).join(' ')}\n`;
  },
};

export const detailCommands: Readonly<Record<string, Command>> = {
  'add-bond-iface': addBondIface,
  'del-bond-iface': delBondIface,
  'add-aa-mapping': addAaMapping,
  'del-aa-mapping': delAaMapping,
  'get-aa-mapping': getAaMapping,
  'add-zone-tp': addZoneTp,
  'del-zone-tp': delZoneTp,
  'list-zone-tp': listZoneTp,
  'list-dp-cap': listDpCap,
};
