import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runDaemonCase } from '../support/daemon-cases.ts';
import { findTool, missing } from '../support/tools.ts';

/** Big users of the database, unchanged, on our daemons and on the stock ones: what they make of it is the same. */
const noOvn = missing({ tools: ['ovn-northd', 'ovn-nbctl', 'ovn-sbctl', 'ovsdb-server'] });
const agentScript = fileURLToPath(new URL('../support/openstack-agent.py', import.meta.url));
const python = findTool('python3') ?? 'python3';
const hasOvsdbapp = spawnSync(python, ['-c', 'import ovsdbapp']).status === 0;
if (!hasOvsdbapp) console.warn('skipped: not installed: python3-ovsdbapp');

/** Only so that a hanging case ends. */
const timeout = 900_000;

const network = `
export OVN_RUNDIR=$OVS_RUNDIR OVN_LOGDIR=$OVS_RUNDIR OVN_DBDIR=$OVS_RUNDIR
for side in nb sb; do
  ovsdb-tool create $side.db /usr/share/ovn/ovn-$side.ovsschema
  ovsdb-server --detach --no-chdir --pidfile=$side.pid --unixctl=$PWD/$side.ctl --log-file=$side.log -vconsole:off --remote=punix:$side.sock $side.db
done
ovn-northd --detach --no-chdir --pidfile=$PWD/northd.pid --unixctl=$PWD/northd.ctl --log-file=$PWD/northd.log -vconsole:off --ovnnb-db=unix:$PWD/nb.sock --ovnsb-db=unix:$PWD/sb.sock
nb() { ovn-nbctl --db=unix:$PWD/nb.sock "$@"; }
sb() { ovn-sbctl --db=unix:$PWD/sb.sock "$@"; }
nb init; sb init; nb lr-add r1
for s in 1 2 3; do
  nb ls-add sw$s -- set logical_switch sw$s other_config:subnet=10.0.$s.0/24
  for p in 1 2 3; do
    nb lsp-add sw$s sw$s-p$p -- lsp-set-addresses sw$s-p$p "00:00:00:0$s:00:0$p 10.0.$s.1$p" -- lsp-set-port-security sw$s-p$p "00:00:00:0$s:00:0$p 10.0.$s.1$p"
  done
  nb acl-add sw$s to-lport 1000 'ip4.src == 10.0.0.0/8 && tcp.dst == 80' allow-related
  nb lrp-add r1 r1-sw$s 00:00:00:00:ff:0$s 10.0.$s.1/24
  nb lsp-add sw$s sw$s-r1 -- lsp-set-type sw$s-r1 router -- lsp-set-addresses sw$s-r1 router -- lsp-set-options sw$s-r1 router-port=r1-sw$s
done
nb lb-add lb0 30.0.0.1:80 10.0.1.11:80,10.0.2.12:80 tcp -- ls-lb-add sw1 lb0 -- lr-lb-add r1 lb0
nb lr-route-add r1 0.0.0.0/0 10.0.1.254
nb pg-add pg1 sw1-p1 sw2-p2 -- acl-add pg1 to-lport 1002 'inport == @pg1 && icmp' reject
nb create Address_Set name=as1 addresses='10.0.0.1 10.0.0.2' >/dev/null
sb chassis-add hv1 geneve 127.0.0.1
nb --wait=sb sync
for s in 1 2 3; do sb lsp-bind sw$s-p1 hv1; done
for i in 1 2 3 4 5; do nb lsp-add sw1 x$i; done
nb --wait=sb sync
for i in 1 2 3 4; do nb lsp-del x$i; done
nb lb-del lb0 -- --if-exists ls-del sw3
nb --wait=sb sync
plain() { sed -E 's/[0-9a-f]{8}-[0-9a-f-]{27}/U/g; s/0x[0-9a-f]{8}/H/g' | sort; }
sb --no-heading --format=csv --columns=pipeline,table_id,priority,match,actions list Logical_Flow | plain
nb show | plain; sb show | plain
sb --no-heading --format=csv --columns=logical_port,type,mac,options,up list Port_Binding | plain
for name in northd nb sb; do pid=$(cat $name.pid); kill $pid; waitfor "died $pid"; done
cut -d'|' -f3- *.log | grep -E '^[^|]*.(WARN|ERR)' | grep -vE 'terminating with signal|Broken pipe' | sort -u`;

const agent = `
start --pidfile; ovs-vsctl --no-wait init
ovs-vswitchd --enable-dummy -vconsole:off --pidfile --log-file=log & switch=$!
waitfor 'ovs-appctl version'
try ${python} ${agentScript} unix:$PWD/db.sock
ovs-appctl exit; wait $switch; ctl exit; wait $child`;

describe('a user of the database', () => {
  it.skipIf(noOvn !== null)('ovn-northd with a logical network', { timeout }, () => {
    const stock = runDaemonCase('stock', network);
    expect(stock.match(/^ingress,|^egress,/gm)?.length).toBeGreaterThan(200);
    expect(runDaemonCase('ours', network)).toBe(stock);
  });
  it.skipIf(!hasOvsdbapp || noOvn !== null)('ovsdbapp', { timeout }, () => {
    const stock = runDaemonCase('stock', agent);
    expect(stock).toContain("['br0']");
    expect(runDaemonCase('ours', agent)).toBe(stock);
  });
});
