/**
 * The rows of docs/performance/goals.md as data. `goal` is the ratio ours : OVS to reach in one run,
 * always with more = better; where goals.md gives an absolute figure, it is that figure divided by the
 * middle of what was measured of OVS then.
 */
export interface GoalRow {
  readonly table: string;
  readonly case: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** Ratio to reach; null: shown for comparison only. */
  readonly goal: number | null;
  /** The goal in goals.md's words where it is an absolute figure. */
  readonly absolute?: { readonly value: number; readonly text: string };
  /** What goals.md has of OVS, in `unit`. */
  readonly documented: string;
}

export const tables = {
  oneMegaflow: '1 PMD: one megaflow',
  subtables: '1 PMD: subtables, 1,000 flows',
  perFlow: '1 PMD: a megaflow per flow, EMC off',
  portToPort: '1 PMD: port to port',
  system: '2 devices: system ports (AF_PACKET)',
  afxdp: '2 devices: afxdp ports',
  slowPath: '3 slow path',
  control: '3 control',
  scaling: '4 scaling',
} as const;

export const caches = ['EMC', 'EMC off', 'SMC only'] as const;
export type CacheSetting = (typeof caches)[number];

const more = { unit: 'Mpps', better: 'more' } as const;

function oneMegaflow(flows: string, emc: string, dpcls: string, smc: string): GoalRow[] {
  const table = tables.oneMegaflow;
  return [
    { table, case: `${flows}, EMC`, ...more, goal: null, documented: emc },
    { table, case: `${flows}, EMC off`, ...more, goal: 2, documented: dpcls },
    { table, case: `${flows}, SMC only`, ...more, goal: null, documented: smc },
    {
      table,
      case: `${flows}, best cache`,
      ...more,
      goal: 2,
      documented: String(Math.max(Number(emc), Number(smc))),
    },
  ];
}

function subtables(count: number, emc: string, dpcls: string, smc: string, goal: number): GoalRow[] {
  const table = tables.subtables;
  return [
    { table, case: `${count} subtables, EMC`, ...more, goal: null, documented: emc },
    { table, case: `${count} subtables, EMC off`, ...more, goal, documented: dpcls },
    { table, case: `${count} subtables, SMC only`, ...more, goal: null, documented: smc },
  ];
}

export const goals: readonly GoalRow[] = [
  ...oneMegaflow('1 flow', '19.7', '11.1', '12.3'),
  ...oneMegaflow('1,000 flows', '17.3', '11.5', '12.2'),
  ...oneMegaflow('10,000 flows', '10.5', '11.2', '11.3'),
  ...oneMegaflow('100,000 flows', '7.4', '9.8', '8.7'),
  ...oneMegaflow('1,000,000 flows', '6.0', '6.5', '5.8'),
  ...subtables(10, '16.0', '4.1', '11.4', 3),
  ...subtables(30, '12.8', '1.78', '9.6', 4),
  ...subtables(100, '12.1', '0.58', '9.3', 6),
  { table: tables.perFlow, case: '50,000 megaflows', ...more, goal: 2, documented: '3.37' },
  { table: tables.perFlow, case: '200,000 megaflows', ...more, goal: 2, documented: '3.23' },
  { table: tables.portToPort, case: 'simple match', ...more, goal: 1.2, documented: '21.5-28.2' },

  {
    table: tables.system,
    case: '64-byte UDP, 1 flow',
    unit: 'kpps',
    better: 'more',
    goal: 2.5,
    documented: '236',
  },
  {
    table: tables.system,
    case: '64-byte UDP, 10,000 flows',
    unit: 'kpps',
    better: 'more',
    goal: 2.5,
    documented: '245',
  },
  {
    table: tables.system,
    case: 'TCP, one stream, untuned',
    unit: 'Gb/s',
    better: 'more',
    goal: null,
    absolute: { value: 15, text: '15 Gb/s' },
    documented: 'does not work; 1.08 with offloads off',
  },
  {
    table: tables.system,
    case: 'ping -f, average round trip',
    unit: 'us',
    better: 'less',
    goal: 1,
    absolute: { value: 31, text: '31 us' },
    documented: '31',
  },
  {
    table: tables.system,
    case: 'CPU with no traffic',
    unit: '% of a core',
    better: 'less',
    goal: null,
    absolute: { value: 1, text: '0' },
    documented: '0',
  },
  {
    table: tables.afxdp,
    case: '64-byte UDP, 1 flow',
    unit: 'kpps',
    better: 'more',
    goal: 1.4,
    documented: '611',
  },
  {
    table: tables.afxdp,
    case: '64-byte UDP, 10,000 flows',
    unit: 'kpps',
    better: 'more',
    goal: 1.4,
    documented: '579',
  },
  {
    table: tables.afxdp,
    case: 'TCP, one stream, untuned',
    unit: 'Gb/s',
    better: 'more',
    goal: null,
    absolute: { value: 3, text: '3 Gb/s' },
    documented: 'does not work; 2.6 with offloads off',
  },
  {
    table: tables.afxdp,
    case: 'ping -f, average round trip',
    unit: 'us',
    better: 'less',
    goal: 1,
    absolute: { value: 14, text: '14 us' },
    documented: '14',
  },
  {
    table: tables.afxdp,
    case: 'CPU with no traffic',
    unit: '% of a core',
    better: 'less',
    goal: null,
    absolute: { value: 1, text: '0' },
    documented: '100',
  },

  {
    table: tables.slowPath,
    case: 'upcalls, exact-match megaflows',
    unit: 'k/s',
    better: 'more',
    goal: 1.43,
    absolute: { value: 250, text: '250 k/s' },
    documented: '100-250',
  },
  {
    table: tables.slowPath,
    case: 'NORMAL with new source MACs',
    unit: 'k/s',
    better: 'more',
    goal: 1.3,
    absolute: { value: 150, text: '150 k/s' },
    documented: '80-150',
  },
  {
    table: tables.slowPath,
    case: 'revalidation, tables changing, per flow',
    unit: 'us',
    better: 'less',
    goal: 2.08,
    absolute: { value: 1.2, text: '1.2 us' },
    documented: '2.5',
  },
  {
    table: tables.slowPath,
    case: 'steady dump, 200,000 megaflows',
    unit: 'ms',
    better: 'less',
    goal: 2.48,
    absolute: { value: 60, text: '60 ms' },
    documented: '129-168',
  },
  {
    table: tables.slowPath,
    case: 'memory a megaflow',
    unit: 'KB',
    better: 'less',
    goal: 2.85,
    absolute: { value: 1, text: '1 KB' },
    documented: '2.6-3.1',
  },

  {
    table: tables.control,
    case: 'add-flows with the stock ovs-ofctl, 100,000',
    unit: 'k/s',
    better: 'more',
    goal: 1,
    absolute: { value: 17, text: '17 k/s' },
    documented: '17',
  },
  {
    table: tables.control,
    case: 'add-flows, the client does not wait, 100,000',
    unit: 'k/s',
    better: 'more',
    goal: null,
    absolute: { value: 120, text: '120 k/s' },
    documented: '-',
  },
  {
    table: tables.control,
    case: 'add-flows as one bundle, 100,000',
    unit: 'k/s',
    better: 'more',
    goal: 1,
    absolute: { value: 120, text: '120 k/s' },
    documented: '120',
  },
  {
    table: tables.control,
    case: 'dump-flows with the stock ovs-ofctl, 100,000',
    unit: 's',
    better: 'less',
    goal: 1,
    absolute: { value: 0.28, text: '0.28 s' },
    documented: '0.28',
  },
  {
    table: tables.control,
    case: 'memory an OpenFlow rule',
    unit: 'KB',
    better: 'less',
    goal: 2,
    absolute: { value: 0.4, text: '0.4 KB' },
    documented: '0.8',
  },
  {
    table: tables.control,
    case: 'flow_mods under a PMD at full rate and 200,000 megaflows',
    unit: 'k/s',
    better: 'more',
    goal: 20,
    absolute: { value: 10, text: '10 k/s' },
    documented: '< 0.5',
  },
  {
    table: tables.control,
    case: '200 internal ports in one ovs-vsctl',
    unit: 'ms',
    better: 'less',
    goal: 0.51,
    absolute: { value: 250, text: '250 ms' },
    documented: '128',
  },
  {
    table: tables.control,
    case: 'OVSDB, one client, 1 outstanding',
    unit: 'k/s',
    better: 'more',
    goal: 0.6,
    absolute: { value: 10, text: '10 k/s' },
    documented: '16.7',
  },
  {
    table: tables.control,
    case: 'OVSDB, one client, 100 outstanding',
    unit: 'k/s',
    better: 'more',
    goal: 1.2,
    absolute: { value: 20, text: '20 k/s' },
    documented: '-',
  },
  {
    table: tables.scaling,
    case: '2 PMDs on 2 rx queues : 1 PMD',
    unit: 'x',
    better: 'more',
    goal: null,
    absolute: { value: 1.6, text: '1.6x' },
    documented: '-',
  },
];
