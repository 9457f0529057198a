import { createArena } from '../../src/arena/core.ts';
import { Ofproto } from '../../src/ofproto/ofproto.ts';
import type { OfprotoDependencies } from '../../src/ofproto/ofproto-types.ts';
import { loadCoreModule } from '../../src/sys/core-module.ts';
import type { DatapathId } from '../../src/util/brand.ts';
import { SystemClock } from '../../src/util/clock.ts';
import { setVlogSink } from '../../src/util/log.ts';
import { SystemRandom } from '../../src/util/random.ts';
import { SocketConnections } from '../../src/vswitchd/openflow-connections.ts';

/**
 * Only the OpenFlow half of a switch, with no datapath: `openflow-only.ts RUNDIR [CONTROLLER...]`
 * serves RUNDIR/br0.mgmt with ports p1 and p2. A way to try ovs-ofctl and controllers on src/ofproto alone.
 */
const [rundir = '.', ...controllers] = process.argv.slice(2);
const core = createArena({
  module: loadCoreModule(),
  sizeMb: 256,
  shared: true,
  seed: 1,
  threadName: 'main',
});
core.x.threadOnline();
const clock = new SystemClock();
setVlogSink(
  (r) => process.stderr.write(`${r.module}|${r.level}|${r.message}\n`),
  '',
  () => clock.nowMs(),
);

let isScheduled = false;
const deps: OfprotoDependencies = {
  core,
  clock,
  random: new SystemRandom(),
  connections: new SocketConnections(rundir),
  wake,
  tablesChanged: () => undefined,
  configChanged: () => undefined,
  executePacketOut: (_ofproto, request) => {
    console.log('packet-out', Buffer.from(request.packet).toString('hex'));
    ofproto.packetIn({
      packet: request.packet,
      flow: request.flow,
      reason: 'action',
      tableId: 0,
      cookie: 0xffffffffffffffffn,
      controllerId: 0,
      maxLen: 0xffff,
      miss: 'none',
    });
  },
  portStats: () => ({ rxPackets: 1n, txPackets: 2n }),
  setPortAdminUp: (port, up) => {
    console.log('port', port, up ? 'up' : 'down');
  },
};
const ofproto = new Ofproto('br0', 1, 0x123456789abcn as DatapathId, deps);
const port = (name: string, last: number) => ({
  name,
  mac: Uint8Array.of(0xaa, 0x55, 0xaa, 0x55, 0, last),
  mtu: 1500,
  adminUp: true,
  carrier: true,
});
ofproto.addPort(port('br0', 0));
ofproto.addPort(port('p1', 1), 1);
ofproto.addPort(port('p2', 2), 2);
ofproto.setControllers([
  { target: `punix:${rundir}/br0.mgmt`, type: 'service', inactivityProbeSec: 0 },
  ...controllers.map((target) => ({ target })),
]);

function wake(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(step);
}
function step(): void {
  isScheduled = false;
  core.x.quiesce();
  if (ofproto.run(clock.nowMs()) > 0) wake();
}
setInterval(wake, 100);
wake();
