/** What bash completion asks for: `--commands` and `--options`. */
import { hashString, hmapOrder } from '../../util/hmap-order.ts';
import { commands, globalOptions } from './command-line.ts';

/** Options that OVS 3.1 does not have, whose completion it is. */
const newerOptions = ['ssl-ciphersuites', 'ssl-server-name'];

/** Arguments of each command: `!` one, `?` at most one, `*` any number, `+` at least one. */
const argumentsOf: Readonly<Record<string, string>> = {
  comment: '*ARG',
  get: '!TABLE !RECORD *COLUMN?:KEY',
  list: '!TABLE *RECORD',
  find: '!TABLE *COLUMN?:KEY=VALUE',
  set: '!TABLE !RECORD +COLUMN?:KEY=VALUE',
  add: '!TABLE !RECORD !COLUMN +?KEY=VALUE',
  remove: '!TABLE !RECORD !COLUMN +KEY|VALUE|KEY=VALUE',
  clear: '!TABLE !RECORD +COLUMN',
  create: '!TABLE +COLUMN?:KEY=VALUE',
  destroy: '!TABLE *RECORD',
  'wait-until': '!TABLE !RECORD *COLUMN?:KEY=VALUE',
  init: '',
  show: '',
  'add-br': '!NEW-BRIDGE ?PARENT ?NEW-VLAN',
  'del-br': '!BRIDGE',
  'list-br': '',
  'br-exists': '!BRIDGE',
  'br-to-vlan': '!BRIDGE',
  'br-to-parent': '!BRIDGE',
  'br-set-external-id': '!BRIDGE !KEY ?VALUE',
  'br-get-external-id': '!BRIDGE ?KEY',
  'list-ports': '!BRIDGE',
  'add-port': '!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE',
  'add-bond': '!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE',
  'add-bond-iface': '!BOND !IFACE',
  'del-port': '?BRIDGE !PORT|IFACE',
  'del-bond-iface': '?BOND !IFACE',
  'port-to-br': '!PORT',
  'list-ifaces': '!BRIDGE',
  'iface-to-br': '!IFACE',
  'get-controller': '!BRIDGE',
  'del-controller': '!BRIDGE',
  'set-controller': '!BRIDGE +TARGET',
  'get-fail-mode': '!BRIDGE',
  'del-fail-mode': '!BRIDGE',
  'set-fail-mode': '!BRIDGE !MODE',
  'get-manager': '',
  'del-manager': '',
  'set-manager': '+TARGET',
  'get-ssl': '',
  'del-ssl': '',
  'set-ssl': '!PRIVATE-KEY !CERTIFICATE !CA-CERT',
  'add-aa-mapping': '!BRIDGE !ARG !ARG',
  'del-aa-mapping': '!BRIDGE !ARG !ARG',
  'get-aa-mapping': '!BRIDGE',
  'emer-reset': '',
  'add-zone-tp': '',
  'del-zone-tp': '',
  'list-zone-tp': '',
  'list-dp-cap': '',
};

/** Lines of `[--OPTION]... ,COMMAND,ARGUMENTS`, in the order in which the stock ovs-vsctl, which has a hash table, walks them. */
export function commandList(): string {
  return hmapOrder(Object.entries(argumentsOf), ([name]) => hashString(name))
    .map(([name, args]) => {
      const options = commands[name]?.options ?? [];
      return `${options.map((option) => `[--${option}] `).join('')},${name},${args}\n`;
    })
    .join('');
}

export function optionList(): string {
  return globalOptions
    .filter(({ name }) => !newerOptions.includes(name))
    .map(({ name, short, arg }) => {
      const value = arg === undefined ? '' : 'ARG';
      const long = `--${name}${value === '' ? '' : '='}${value}\n`;
      return short === undefined ? long : `${long}-${short}${value === '' ? '' : ' '}${value}\n`;
    })
    .join('');
}
