/**
 * Lists the bridges of an Open vSwitch database, adds one with a port, follows changes until it
 * appears, and takes it away again. Works with any ovsdb-server.
 *
 *     node ovsdb-bridges.js [REMOTE]      # default unix:/var/run/openvswitch/db.sock
 */
import { connectOvsdb } from 'megaflow/ovsdb';
import { openVSwitch } from 'megaflow/ovsdb/open-vswitch';

const remote = process.argv[2] ?? 'unix:/var/run/openvswitch/db.sock';
const db = await connectOvsdb(openVSwitch, {
  remote,
  tables: {
    Open_vSwitch: ['bridges', 'external_ids'],
    Bridge: ['name', 'ports', 'fail_mode', 'external_ids'],
    Port: ['name', 'interfaces', 'tag'],
    Interface: ['name', 'type'],
  },
});

function show(): void {
  for (const bridge of db.tables.Bridge.rows) {
    const ports = bridge.ports.map((port) =>
      port.tag === undefined ? port.name : `${port.name} (${port.tag})`,
    );
    console.log(`${bridge.name} ${bridge.fail_mode ?? 'standalone'}: ${ports.sort().join(', ')}`);
  }
}

const stop = db.tables.Bridge.onChange(({ kind, row, columns }) => {
  console.log(`${kind} ${row.name}${columns.length > 0 ? `: ${[...columns].sort().join(', ')}` : ''}`);
});

// One transaction: references to rows inserted in it are the rows themselves.
await db.transact((tx) => {
  const internal = tx.insert('Interface', { name: 'example0', type: 'internal' });
  const port = tx.insert('Port', { name: 'example0', interfaces: [internal], tag: 7 });
  const bridge = tx.insert('Bridge', { name: 'example0', ports: [port], fail_mode: 'secure' });
  const [root] = db.tables.Open_vSwitch.rows;
  tx.insertElements(root ?? tx.insert('Open_vSwitch', {}), 'bridges', [bridge]);
  tx.comment('example: bridge example0');
});
show();

// Partial writes leave what others wrote alone.
const bridge = db.tables.Bridge.find((row) => row.name === 'example0');
if (bridge === undefined) throw new Error('the replica has what was committed');
await db.transact((tx) => tx.setKey(bridge, 'external_ids', 'owner', 'example'));
console.log(`owner ${bridge.external_ids.get('owner') ?? 'nobody'}`);

await db.transact((tx) => {
  for (const root of db.tables.Open_vSwitch.rows) tx.deleteElements(root, 'bridges', [bridge]);
});
console.log(`rows left: ${db.tables.Bridge.rows.filter((row) => row.name === 'example0').length}`);
stop();
db.close();
