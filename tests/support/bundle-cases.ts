/**
 * Sequences of OpenFlow messages about bundles, for the stock switch and ours: each is sent on a
 * connection of its own, in OpenFlow 1.4 and, by the ONF extension, in 1.3.
 */
export interface BundleCase {
  readonly name: string;
  /** Messages without version; see `b`. */
  readonly messages: (b: BundleBytes) => readonly Buffer[];
}

const be16 = (n: number): Buffer => Buffer.from([n >>> 8, n & 0xff]);
const be32 = (n: number): Buffer => Buffer.from([n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff]);

export interface FlowModOptions {
  readonly command?: number;
  readonly table?: number;
  readonly priority?: number;
  readonly flags?: number;
  readonly buffer?: number;
  readonly cookie?: number;
  /** OXM fields, hexadecimal. */
  readonly match?: string;
  /** Instructions, hexadecimal. */
  readonly instructions?: string;
  readonly xid?: number;
}

/** Makes messages of one version. */
export class BundleBytes {
  readonly version: 4 | 5;
  constructor(version: 4 | 5) {
    this.version = version;
  }

  message(type: number, xid: number, body: Buffer): Buffer {
    return Buffer.concat([Buffer.from([this.version, type]), be16(8 + body.length), be32(xid), body]);
  }

  control(type: number, o: { id?: number; flags?: number; xid?: number } = {}): Buffer {
    const body = Buffer.concat([be32(o.id ?? 1), be16(type), be16(o.flags ?? 0)]);
    return this.#extended(33, 2300, o.xid ?? 0x100 + type, body);
  }

  add(inner: Buffer, o: { id?: number; flags?: number; xid?: number } = {}): Buffer {
    const body = Buffer.concat([be32(o.id ?? 1), be16(0), be16(o.flags ?? 0), inner]);
    return this.#extended(34, 2301, o.xid ?? inner.readUInt32BE(4), body);
  }

  #extended(type14: number, subtype13: number, xid: number, body: Buffer): Buffer {
    if (this.version === 5) return this.message(type14, xid, body);
    return this.message(4, xid, Buffer.concat([be32(0x4f4e4600), be32(subtype13), body]));
  }

  flowMod(o: FlowModOptions = {}): Buffer {
    const fields = Buffer.from(o.match ?? '', 'hex');
    const length = 4 + fields.length;
    const body = Buffer.concat([
      be32(0),
      be32(o.cookie ?? 0),
      Buffer.alloc(8),
      Buffer.from([o.table ?? 0, o.command ?? 0]),
      be16(0),
      be16(0),
      be16(o.priority ?? 0x8000),
      be32(o.buffer ?? 0xffffffff),
      be32(0xffffffff),
      be32(0xffffffff),
      be16(o.flags ?? 0),
      be16(0),
      be16(1),
      be16(length),
      fields,
      Buffer.alloc((8 - (length % 8)) % 8),
      Buffer.from(o.instructions ?? '', 'hex'),
    ]);
    return this.message(14, o.xid ?? 0x200, body);
  }

  packetOut(inPort: number, actions: string, xid = 0x300): Buffer {
    const list = Buffer.from(actions, 'hex');
    const frame = Buffer.from('505400000007505400000005080045000014', 'hex');
    return this.message(
      13,
      xid,
      Buffer.concat([be32(0xffffffff), be32(inPort), be16(list.length), Buffer.alloc(6), list, frame]),
    );
  }

  portMod(port: number, mac: string, xid = 0x400): Buffer {
    const head = Buffer.concat([be32(port), Buffer.alloc(4), Buffer.from(mac, 'hex'), Buffer.alloc(2)]);
    const config = Buffer.concat([be32(0), be32(0)]);
    const rest = this.version === 5 ? Buffer.alloc(0) : Buffer.alloc(8);
    return this.message(16, xid, Buffer.concat([head, config, rest]));
  }

  echo(xid = 0x500): Buffer {
    return this.message(2, xid, Buffer.from('abcd'));
  }
}

const OPEN = 0;
const CLOSE = 2;
const COMMIT = 4;
const DISCARD = 6;
const inPort = (port: number): string => `80000004${port.toString(16).padStart(8, '0')}`;
const output = (port: number): string =>
  `000400180000000000000010${port.toString(16).padStart(8, '0')}0000000000000000`;
const toGroup = '00040010000000000016000800000005'; // apply_actions(group:5)
const goTo = (table: number): string => `00010008${table.toString(16).padStart(2, '0')}000000`;

export const bundleCases: readonly BundleCase[] = [
  {
    name: 'three flows',
    messages: (b) => [
      b.control(OPEN),
      ...[1, 2, 3].map((n) =>
        b.add(b.flowMod({ match: inPort(n), instructions: output(2), xid: 0x200 + n })),
      ),
      b.control(CLOSE),
      b.control(COMMIT),
    ],
  },
  { name: 'open twice', messages: (b) => [b.control(OPEN), b.control(OPEN), b.control(CLOSE)] },
  { name: 'close what is not open', messages: (b) => [b.control(CLOSE)] },
  { name: 'commit what is not open', messages: (b) => [b.control(COMMIT)] },
  { name: 'discard what is not open', messages: (b) => [b.control(DISCARD)] },
  {
    name: 'close twice',
    messages: (b) => [b.control(OPEN), b.control(CLOSE), b.control(CLOSE), b.control(CLOSE)],
  },
  {
    name: 'close with other flags',
    messages: (b) => [b.control(OPEN, { flags: 1 }), b.control(CLOSE, { flags: 2 }), b.control(CLOSE)],
  },
  {
    name: 'commit with other flags',
    messages: (b) => [
      b.control(OPEN, { flags: 1 }),
      b.add(b.flowMod({ cookie: 0x77 }), { flags: 1 }),
      b.control(COMMIT, { flags: 3 }),
      b.control(COMMIT, { flags: 1 }),
    ],
  },
  {
    name: 'commit without close',
    messages: (b) => [b.control(OPEN), b.add(b.flowMod({ cookie: 0x78 })), b.control(COMMIT)],
  },
  {
    name: 'discard drops all',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ cookie: 0x79, priority: 7 })),
      b.control(DISCARD),
      b.control(COMMIT),
    ],
  },
  {
    name: 'add to a closed bundle',
    messages: (b) => [b.control(OPEN), b.control(CLOSE), b.add(b.flowMod()), b.control(COMMIT)],
  },
  {
    name: 'add with other flags',
    messages: (b) => [b.control(OPEN, { flags: 2 }), b.add(b.flowMod(), { flags: 1 }), b.control(COMMIT)],
  },
  {
    name: 'add opens a bundle',
    messages: (b) => [
      b.add(b.flowMod({ priority: 9 }), { id: 5, flags: 3 }),
      b.control(CLOSE, { id: 5, flags: 3 }),
      b.control(COMMIT, { id: 5, flags: 3 }),
    ],
  },
  {
    name: 'unknown control type',
    messages: (b) => [b.control(OPEN), b.control(1), b.control(3), b.control(7), b.control(CLOSE)],
  },
  {
    name: 'xid of the inner message',
    messages: (b) => [b.control(OPEN), b.add(b.flowMod({ xid: 5 }), { xid: 6 }), b.control(COMMIT)],
  },
  {
    name: 'version of the inner message',
    messages: (b) => {
      const inner = b.flowMod();
      inner[0] = 1;
      return [b.control(OPEN), b.add(inner), b.control(COMMIT)];
    },
  },
  {
    name: 'length of the inner message',
    messages: (b) => {
      const long = b.flowMod();
      long.writeUInt16BE(long.length + 8, 2);
      const short = b.flowMod();
      short.writeUInt16BE(4, 2);
      return [b.control(OPEN), b.add(long), b.add(short), b.control(COMMIT)];
    },
  },
  {
    name: 'what cannot be bundled',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.echo()),
      b.add(b.message(20, 0x501, Buffer.alloc(0))),
      b.add(b.message(99, 0x502, Buffer.alloc(0))),
      b.add(b.message(14, 0x504, Buffer.alloc(8))),
      b.add(b.message(4, 0x505, Buffer.alloc(8))),
      b.add(b.control(OPEN, { id: 3, xid: 0x503 })),
      b.control(COMMIT),
    ],
  },
  {
    name: 'wrong flow_mods are refused when they are added',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ command: 9, xid: 0x601 })),
      b.add(b.flowMod({ table: 0xff, xid: 0x602 })),
      b.add(b.flowMod({ table: 0xfe, xid: 0x603 })),
      b.add(b.flowMod({ flags: 0x40, xid: 0x604 })),
      b.add(b.flowMod({ instructions: output(0xfffffff0), xid: 0x605 })),
      b.add(b.flowMod({ match: '80000a030800', xid: 0x606 })),
      b.add(b.flowMod({ match: '800018040a000001', xid: 0x607 })),
      b.add(b.flowMod({ table: 5, instructions: goTo(5), xid: 0x608 })),
      b.add(b.flowMod({ buffer: 7, xid: 0x609 })),
      b.add(b.flowMod({ priority: 4, cookie: 0x60a, xid: 0x60a })),
      b.control(COMMIT),
    ],
  },
  {
    name: 'a group that does not exist',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ priority: 5, xid: 0x701 })),
      b.add(b.flowMod({ instructions: toGroup, xid: 0x702 })),
      b.control(COMMIT),
    ],
  },
  {
    name: 'a flow_mod that fails undoes those before it',
    messages: (b) => [
      b.control(OPEN, { flags: 3 }),
      b.add(b.flowMod({ command: 3, table: 0xff, xid: 0x801 }), { flags: 3 }),
      b.add(b.flowMod({ match: inPort(8), priority: 3, xid: 0x802 }), { flags: 3 }),
      b.add(b.flowMod({ command: 4, match: inPort(8), priority: 3, xid: 0x803 }), { flags: 3 }),
      b.add(b.flowMod({ match: inPort(9), priority: 3, xid: 0x804 }), { flags: 3 }),
      // Overlaps with the rule before it.
      b.add(b.flowMod({ flags: 2, priority: 3, xid: 0x805 }), { flags: 3 }),
      b.add(b.flowMod({ priority: 2, xid: 0x806 }), { flags: 3 }),
      b.control(CLOSE, { flags: 3 }),
      b.control(COMMIT, { flags: 3 }),
    ],
  },
  {
    name: 'steps see those before them',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ match: inPort(1), instructions: output(1), cookie: 1, xid: 0x901 })),
      b.add(b.flowMod({ match: inPort(1), instructions: output(2), cookie: 2, xid: 0x902 })),
      b.add(b.flowMod({ command: 1, match: inPort(1), instructions: output(3), xid: 0x903 })),
      b.add(b.flowMod({ match: inPort(2), cookie: 4, xid: 0x904 })),
      b.add(b.flowMod({ command: 3, match: inPort(2), xid: 0x905 })),
      b.add(b.flowMod({ match: inPort(2), cookie: 6, priority: 6, xid: 0x906 })),
      b.control(COMMIT),
    ],
  },
  {
    name: 'all flows away and back',
    messages: (b) => [
      b.control(OPEN, { flags: 1 }),
      b.add(b.flowMod({ command: 3, table: 0xff, xid: 0xa01 }), { flags: 1 }),
      b.add(b.flowMod({ match: inPort(1), instructions: output(1), xid: 0xa02 }), { flags: 1 }),
      b.control(COMMIT, { flags: 1 }),
    ],
  },
  {
    name: 'the internal table',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ command: 3, table: 0xfe, xid: 0xb01 })),
      b.control(COMMIT),
    ],
  },
  {
    name: 'packet_out',
    messages: (b) => [
      b.control(OPEN, { flags: 1 }),
      b.add(b.packetOut(0xfffffffd, '00000010000000010000000000000000'), { flags: 1 }),
      b.add(b.packetOut(0xfffffff0, '', 0x301), { flags: 1 }),
      b.add(b.packetOut(0xfffffffd, '0016000800000005', 0x302), { flags: 1 }),
      b.control(COMMIT, { flags: 1 }),
    ],
  },
  {
    name: 'port_mod in an atomic bundle',
    messages: (b) => [
      b.control(OPEN, { flags: 1 }),
      b.add(b.flowMod({ priority: 12, xid: 0xc01 }), { flags: 1 }),
      b.add(b.portMod(1, 'aa55aa550001'), { flags: 1 }),
      b.control(COMMIT, { flags: 1 }),
    ],
  },
  {
    name: 'port_mod of no port',
    messages: (b) => [
      b.control(OPEN),
      b.add(b.flowMod({ priority: 13, xid: 0xd01 })),
      b.add(b.portMod(99, 'aa55aa550001')),
      b.control(COMMIT),
    ],
  },
  {
    name: 'port_mod with a wrong address',
    messages: (b) => [b.control(OPEN), b.add(b.portMod(1, '000000000009')), b.control(COMMIT)],
  },
  {
    name: 'a slave may not',
    messages: (b) => [
      b.message(24, 0xe01, Buffer.from('00000003000000000000000000000001', 'hex')),
      b.control(OPEN),
      b.add(b.flowMod()),
      b.control(COMMIT),
      b.message(24, 0xe02, Buffer.from('00000001000000000000000000000001', 'hex')),
    ],
  },
  {
    name: 'bad lengths',
    messages: (b) => [
      b.message(b.version === 5 ? 33 : 99, 0xf01, Buffer.from('00000001', 'hex')),
      b.message(b.version === 5 ? 34 : 99, 0xf02, Buffer.from('0000000100000000', 'hex')),
      b.message(b.version === 5 ? 34 : 99, 0xf03, Buffer.from('0000000100000000050e', 'hex')),
    ],
  },
];
