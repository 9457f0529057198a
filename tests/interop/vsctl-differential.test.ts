import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/ovs-vsctl.ts';
import { parseJson } from '../../src/stream/index.ts';
import { startStock } from '../support/ovsdb.ts';
import type { ServerUnderTest } from '../support/ovsdb.ts';
import { missing } from '../support/tools.ts';

/** Our ovs-vsctl against the stock one, each on a stock server: exit status, output, errors. */
const skip = missing({ tools: ['ovs-vsctl', 'ovsdb-server'] });
const root = fileURLToPath(new URL('../..', import.meta.url));

const script: readonly string[] = [
  'show',
  'list-br',
  'add-br br0',
  'add-br br0',
  '--may-exist add-br br0',
  'add-br',
  'add-br a b',
  'add-br f1 br0 10',
  '--fake list-br',
  '--real list-br',
  'br-to-vlan f1',
  'br-to-parent f1',
  'br-exists nope',
  'br-exists br0',
  'add-port br0 p1',
  'add-port br0 p1',
  '--may-exist add-port br0 p1',
  'add-port nope p2',
  'add-port br0 p2 tag=5 -- set interface p2 type=dummy options:foo=bar',
  'add-port f1 p3',
  'list-ports br0',
  'list-ports f1',
  'list-ifaces br0',
  'port-to-br p3',
  'port-to-br br0',
  'iface-to-br p2',
  'iface-to-br zz',
  '--may-exist add-port f1 p1',
  'add-bond br0 bond0 e0 e1 lacp=active',
  'add-bond br0 bond1 e0',
  'list port bond0',
  'get bridge br0 name',
  'get bridge br0 ports',
  'get bridge br0 nope',
  'get bridge nope name',
  'get foo br0 name',
  'get bridge br0 other_config:foo',
  'set bridge br0 other_config:foo=bar',
  'get bridge br0 other_config:foo',
  'get bridge br0 other-config',
  'get br br0 other',
  'set bridge br0 other_config:x="a b" other_config:y=tcp:1.2.3.4',
  'get bridge br0 other_config',
  'set bridge br0 foo',
  'set bridge br0 other_config:z',
  'set bridge br0 fail_mode',
  'set bridge br0 name=foo',
  'set bridge br0 fail_mode=foo',
  'set bridge br0 fail_mode=secure',
  'set bridge br0 fail_mode:x=secure',
  'set bridge br0 flood_vlans=1,2,3',
  'set bridge br0 flood_vlans=[4,5]',
  'get bridge br0 flood_vlans',
  'set bridge br0 flood_vlans=5000',
  'set bridge br0 flood_vlans=a',
  'set bridge br0 stp_enable=maybe',
  'set bridge br0 stp_enable=yes',
  'add bridge br0 flood_vlans 7 8',
  'remove bridge br0 flood_vlans 4',
  'get bridge br0 flood_vlans',
  'add bridge br0 other_config k=v',
  'remove bridge br0 other_config foo',
  'remove bridge br0 other_config k=w',
  'remove bridge br0 other_config k=v',
  'get bridge br0 other_config',
  'clear bridge br0 other_config',
  'clear bridge br0 name',
  'clear bridge br0 flood_vlans fail_mode',
  'list bridge br0',
  '--columns=name,ports list bridge',
  '-f table --columns=name,fail_mode,stp_enable list bridge',
  '-f csv --columns=name,ports list bridge',
  '-f html --columns=name,fail_mode list bridge',
  '-f json --columns=name,fail_mode list bridge',
  '--bare --columns=name,ports list bridge',
  '-d json --columns=name,ports list bridge',
  '--no-headings --columns=name list port',
  'find port name=p1',
  '--columns=name find port tag=5',
  '--columns=name find port tag!=5',
  '--columns=name find bridge other_config:x=1',
  '--columns=name find port tag{=}5',
  '--columns=name find interface type=dummy',
  '--columns=name find port tag>4',
  '--columns=name find port name{in}p1,p2',
  'set-controller br0 tcp:1.2.3.4:6653 ptcp:6654',
  'get-controller br0',
  'set-controller br0 foo:bar',
  'del-controller br0',
  'set-fail-mode br0 foo',
  'set-fail-mode br0 secure',
  'get-fail-mode br0',
  'del-fail-mode br0',
  'set-manager ptcp:6640',
  'get-manager',
  'del-manager',
  'set-ssl /a /b /c',
  'get-ssl',
  'del-ssl',
  '-- --id=@q create qos type=linux-htb queues=0=@q1 -- --id=@q1 create queue other_config:max-rate=1000 -- set port p1 qos=@q',
  'list qos',
  '--columns=other_config list queue',
  'get port p1 qos',
  'create queue other_config:min-rate=5',
  'destroy queue nope',
  '--all destroy queue',
  '--all destroy qos',
  'clear port p1 qos',
  '--all destroy qos',
  '--all destroy queue',
  'create mirror name=m0',
  '-- --id=@m create mirror name=m0 select_all=true -- set bridge br0 mirrors=@m',
  'get mirror m0 select_all',
  'clear bridge br0 mirrors',
  'list mirror',
  'set bridge br0 ports=@x',
  '-- --id=@z create queue',
  'br-set-external-id br0 a b',
  'br-get-external-id br0 a',
  'br-get-external-id br0',
  'br-set-external-id br0 a',
  'del-port nope',
  '--if-exists del-port nope',
  'del-port br0',
  'del-port br0 p3',
  'del-port f1 p3',
  'del-port br0 p1',
  'del-br nope',
  '--if-exists del-br nope',
  '--oneline list-ports br0 -- list-br',
  '--foo list-br',
  'list-br --foo',
  'foo',
  '-- --foo list-br',
  'set interface p2 mtu_request=0',
  'set interface p2 ofport_request=3 mtu_request=9000',
  'get interface p2 mtu_request ofport_request options',
  'set open . other_config:a=b',
  'get open . other_config',
  'get Open_vSwitch . other_config:a',
  '--id=@a get bridge br0 name',
  'wait-until bridge br0 name=br0',
  'comment hi there',
  'del-br f1',
  'del-br br0',
  'emer-reset',
  'init',
  'add-br "a b"',
  'get open_vswitch . _uuid',
  'list open_vswitch . extra',
  '--if-exists get bridge nope name',
  '--if-exists list bridge nope',
  '--if-exists get open . other_config:qq',
  'set open . other_config={a=b,c="d e"}',
  'get open . other_config',
  'set open . other_config={a=b',
  'set open . other_config=a',
  'set open . next_cfg=1,2',
  'set open . next_cfg=[]',
  'set open . next_cfg=9223372036854775807',
  'get open . next_cfg',
  'set open . next_cfg=9223372036854775808',
  '--timeout=x list-br',
  '--dry-run add-br dry',
  '--if-exists del-br br0',
  'add-br br0',
  'add-port br0 p1',
  'add-port br0 p2',
  'add-bond br0 bond0 e0 e1',
  'add-bond-iface bond0 e2',
  'add-bond-iface bond0 e2',
  '--may-exist add-bond-iface bond0 e2',
  '--may-exist add-bond-iface p1 e2',
  'add-bond-iface nope e3',
  'add-bond-iface bond0 p1',
  'add-bond-iface p1 x1',
  'list-ifaces br0',
  'del-bond-iface e2',
  'del-bond-iface bond0 e1',
  'del-bond-iface bond0 e0',
  'del-bond-iface e0',
  'del-bond-iface nope',
  '--if-exists del-bond-iface nope',
  'del-bond-iface bond0 p1',
  'del-bond-iface p1 zz',
  'list-ifaces br0',
  'add-aa-mapping br0 100 5',
  'add-aa-mapping br0 x 5',
  'add-aa-mapping br0 100 5000',
  'get-aa-mapping br0',
  'del-aa-mapping br0 100 6',
  'del-aa-mapping br0 100 5',
  'get-aa-mapping br0',
  'add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2',
  '-- --id=@m create Datapath datapath_version=0 -- set Open_vSwitch . datapaths:netdev=@m',
  'add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2',
  'add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2',
  '--may-exist add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2',
  'add-zone-tp netdev zone=70000 icmp_first=1',
  'add-zone-tp netdev zone=2',
  'add-zone-tp netdev zone=2 foo=1',
  'add-zone-tp netdev zone=2 icmp_first=x',
  'add-zone-tp netdev zone=2 tcp_syn_sent=3',
  'list-zone-tp netdev',
  'list-zone-tp foo',
  'del-zone-tp netdev zone=1',
  'del-zone-tp netdev zone=1',
  '--if-exists del-zone-tp netdev zone=1',
  'list-zone-tp netdev',
  'list-dp-cap netdev',
  'list-dp-cap foo',
];

/** Words as a shell would make them; quotes keep spaces together. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|[^\s"])+/g)].map(([word]) => word.replaceAll('"', ''));
}

const argumentsOf = (server: ServerUnderTest, line: string): string[] => [
  `--db=unix:${server.socket}`,
  '--no-wait',
  ...words(line),
];

async function ours(server: ServerUnderTest, line: string): Promise<string> {
  let text = '';
  const take = (part: string): void => void (text += part);
  const status = await main(argumentsOf(server, line), { out: take, err: take });
  return comparable(status, text);
}

async function stock(server: ServerUnderTest, line: string): Promise<string> {
  const child = spawn('ovs-vsctl', argumentsOf(server, line), {
    env: { ...process.env, OVS_RUNDIR: server.dir },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
  return comparable(await new Promise<number | null>((resolve) => child.once('close', resolve)), text);
}

/** Without log lines; sorted, since the order of rows is that of a hash table of random uuids. */
function comparable(status: number | null, text: string): string {
  const lines = text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
    .split('\n')
    .filter((line) => !/\|WARN\|/.test(line));
  return [`exit ${status}`, ...lines.sort()].join('\n');
}

describe.skipIf(skip !== null)('ovs-vsctl against the stock one', () => {
  let servers: [ServerUnderTest, ServerUnderTest];
  beforeAll(async () => {
    const schema = parseJson(readFileSync(`${root}/share/vswitch.ovsschema`, 'utf8'));
    servers = [await startStock(schema), await startStock(schema)];
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
  });

  it('does, prints and refuses the same', async () => {
    for (const line of script) {
      const [mine, wanted] = await Promise.all([ours(servers[0], line), stock(servers[1], line)]);
      expect.soft(mine, line).toBe(wanted);
    }
  });
});
