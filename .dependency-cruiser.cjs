// The layer table of docs/internals/design.md: imports go down only.
const layers = {
  util: [],
  sys: ['util', 'arena'],
  arena: ['util'],
  wire: ['util'],
  flow: ['util', 'wire'],
  classifier: ['util', 'arena', 'wire', 'flow'],
  stream: ['util', 'sys'],
  openflow: ['util', 'wire', 'flow'],
  odp: ['util', 'wire', 'flow'],
  netlink: ['util', 'sys'],
  ovsdb: ['util', 'sys', 'stream'],
  netdev: ['util', 'sys', 'arena', 'wire', 'flow', 'classifier', 'netlink'],
  datapath: ['util', 'sys', 'arena', 'wire', 'flow', 'classifier', 'odp', 'netlink', 'netdev'],
  ofproto: ['util', 'arena', 'wire', 'flow', 'classifier', 'openflow', 'odp', 'netdev', 'datapath'],
  lab: ['util', 'arena', 'wire', 'flow', 'classifier', 'odp', 'netdev', 'datapath', 'openflow', 'ofproto'],
  vswitchd: [
    'util',
    'sys',
    'arena',
    'wire',
    'flow',
    'classifier',
    'stream',
    'openflow',
    'odp',
    'netlink',
    'ovsdb',
    'netdev',
    'datapath',
    'ofproto',
    'lab',
  ],
  cli: ['util', 'sys', 'stream', 'wire', 'flow', 'openflow', 'odp', 'ovsdb', 'vswitchd', 'lab'],
};
const portable = ['util', 'arena', 'wire', 'flow', 'classifier', 'openflow', 'odp', 'ofproto', 'lab'];
const notTest = '\\.test\\.ts$|/testing/';

module.exports = {
  forbidden: [
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `layer-${layer}`,
      severity: 'error',
      from: { path: `^src/${layer}/`, pathNot: notTest },
      to: { path: '^src/', pathNot: `^src/(${[layer, ...allowed].join('|')})/` },
    })),
    {
      name: 'portable',
      comment: 'These layers also run in a browser: no node:* there.',
      severity: 'error',
      from: { path: `^src/(${portable.join('|')})/`, pathNot: notTest },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.tools.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
