/**
 * What a run of ovs-vsctl has to know of the database: the tables and columns that its commands read or write.
 *
 * Only these are monitored, so that a command on a big switch does not fetch all of it. A column that a command
 * writes must be among them, since what equals the known contents is not written.
 */
import type { MonitorTables } from '../../ovsdb/client/index.ts';
import { isBuiltinColumn } from '../../ovsdb/schema.ts';
import type { DatabaseSchema } from '../../ovsdb/schema.ts';
import { vlog } from '../../util/log.ts';
import { leadingColumn } from './column-key-value.ts';
import type { Invocation } from './context.ts';
import { findColumn, findTable, namedColumns, rowIds } from './names.ts';
import { shown } from './show.ts';

const log = vlog('db_ctl_base');

type Columns = Readonly<Record<string, readonly string[]>>;

/** Bridges, fake ones too, and their ports. */
const bridges: Columns = {
  Open_vSwitch: ['bridges'],
  Bridge: ['name', 'ports'],
  Port: ['name', 'fake_bridge', 'tag'],
};
const interfaces: Columns = { Port: ['interfaces'], Interface: ['name'] };
const controllers: Columns = { Bridge: ['controller'], Controller: ['target', 'inactivity_probe'] };
const failMode: Columns = { Bridge: ['fail_mode'] };
const externalIds: Columns = { Bridge: ['external_ids'], Port: ['external_ids'] };
const autoAttach: Columns = { Bridge: ['auto_attach'], AutoAttach: ['mappings'] };
const managers: Columns = {
  Open_vSwitch: ['manager_options'],
  Manager: ['target', 'inactivity_probe'],
};
const ssl: Columns = {
  Open_vSwitch: ['ssl'],
  SSL: ['private_key', 'certificate', 'ca_cert', 'bootstrap_ca_cert'],
};
const zones: Columns = {
  Open_vSwitch: ['datapaths'],
  Datapath: ['ct_zones', 'capabilities'],
  CT_Zone: ['timeout_policy'],
  CT_Timeout_Policy: ['timeouts'],
};

/** Commands whose arguments do not matter; what is not here needs bridges, ports and interfaces. */
const fixed: Readonly<Record<string, readonly Columns[]>> = {
  init: [],
  comment: [],
  'list-br': [bridges],
  'br-exists': [bridges],
  'br-to-vlan': [bridges],
  'br-to-parent': [bridges],
  'list-ports': [bridges],
  'port-to-br': [bridges],
  'get-controller': [bridges, controllers],
  'del-controller': [bridges, controllers],
  'set-controller': [bridges, controllers],
  'get-fail-mode': [bridges, failMode],
  'del-fail-mode': [bridges, failMode],
  'set-fail-mode': [bridges, failMode],
  'br-set-external-id': [bridges, externalIds],
  'br-get-external-id': [bridges, externalIds],
  'add-aa-mapping': [bridges, autoAttach],
  'del-aa-mapping': [bridges, autoAttach],
  'get-aa-mapping': [bridges, autoAttach],
  'get-manager': [managers],
  'del-manager': [managers],
  'set-manager': [managers],
  'get-ssl': [ssl],
  'del-ssl': [ssl],
  'set-ssl': [ssl],
  'add-zone-tp': [zones],
  'del-zone-tp': [zones],
  'list-zone-tp': [zones],
  'list-dp-cap': [zones],
};

/** The generic commands: which of their arguments begin with the name of a column. */
const generic: Readonly<Record<string, (args: readonly string[]) => readonly string[]>> = {
  list: () => [],
  find: (args) => args.slice(1),
  get: (args) => args.slice(2),
  set: (args) => args.slice(2),
  add: (args) => args.slice(2, 3),
  remove: (args) => args.slice(2, 3),
  clear: (args) => args.slice(2),
  create: () => [],
  destroy: () => [],
  'wait-until': (args) => args.slice(2),
};

/** Whether a column stands alone in the arguments of a generic command. */
const isPlain = (name: string): boolean => name === 'add' || name === 'remove' || name === 'clear';

/**
 * Also what ovs-vsctl says of commands before it looks at the database.
 *
 * @param mustWait Whether the switch is waited for, and errors of new interfaces are told.
 * @throws OvsError for the name of a table or column that is wrong
 */
export function needsOf(
  schema: DatabaseSchema,
  invocations: readonly Invocation[],
  mustWait: boolean,
): MonitorTables {
  const needs = new Needs(schema);
  needs.add({ Open_vSwitch: ['cur_cfg'] });
  if (mustWait) needs.add({ Interface: ['name', 'ofport', 'error'] });
  for (const invocation of invocations) {
    const { name } = invocation;
    if (name === 'show') needs.add(shownColumns());
    else if (Object.hasOwn(generic, name)) needs.addGeneric(invocation);
    else for (const columns of fixed[name] ?? [bridges, interfaces]) needs.add(columns);
  }
  return invocations.some(({ name }) => name === 'emer-reset') ? 'all' : needs.tables();
}

function shownColumns(): Columns {
  return Object.fromEntries(
    Object.entries(shown).map(([table, { name, columns }]) => [
      table,
      name === null ? columns : [name, ...columns],
    ]),
  );
}

class Needs {
  readonly #schema: DatabaseSchema;
  readonly #tables = new Map<string, Set<string> | 'all'>();

  constructor(schema: DatabaseSchema) {
    this.#schema = schema;
  }

  add(columns: Columns): void {
    for (const [table, names] of Object.entries(columns)) {
      const known = this.#tables.get(table) ?? new Set();
      if (known === 'all') continue;
      for (const name of names) known.add(name);
      this.#tables.set(table, known);
    }
  }

  addGeneric({ name, args, options }: Invocation): void {
    const table = findTable(this.#schema, args[0] ?? '');
    this.add({ [table.name]: [] });
    for (const id of rowIds[table.name] ?? [])
      this.add({ [id.table]: [id.name, id.via].filter((column) => column !== null) });
    if (name === 'create' && !table.isRoot && typeof options.get('id') !== 'string')
      log.warn(`applying "create" command to table ${table.name} without --id option will have no effect`);
    const { columns } = Object.fromEntries(options);
    const listed = typeof columns === 'string' ? namedColumns(table, columns) : [];
    if ((name === 'list' || name === 'find') && listed.length === 0) this.#tables.set(table.name, 'all');
    const words = generic[name]?.(args) ?? [];
    const named = words.map((word) =>
      isPlain(name) ? findColumn(table, word) : leadingColumn(table, word, name === 'get').column,
    );
    this.add({ [table.name]: [...named, ...listed].map((column) => column.name) });
  }

  /** Of a table of which nothing is asked, the first column tells which rows there are. */
  tables(): MonitorTables {
    const tables: Record<string, readonly string[] | 'all'> = {};
    for (const [name, columns] of this.#tables) {
      const own = [...(this.#schema.tables.get(name)?.columns.keys() ?? [])].filter(
        (c) => !isBuiltinColumn(c),
      );
      const wanted = columns === 'all' ? own : own.filter((column) => columns.has(column));
      tables[name] = wanted.length > 0 ? wanted : own.slice(0, 1);
    }
    return tables;
  }
}
