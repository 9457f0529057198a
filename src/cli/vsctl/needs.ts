/**
 * What a run of ovs-vsctl has to know of the database: the tables and columns that its commands read or write.
 *
 * Only these are monitored, so that a command on a big switch does not fetch all of it. A column that a command
 * writes must be among them, since what equals the known contents is not written.
 */
import type { MonitorTables } from '../../ovsdb/client/index.ts';
import { readToken } from '../../ovsdb/data/text.ts';
import { isBuiltinColumn } from '../../ovsdb/schema.ts';
import type { DatabaseSchema } from '../../ovsdb/schema.ts';
import { OvsError } from '../../util/errors.ts';
import type { Invocation } from './context.ts';
import { findColumn, findTable, rowIds } from './names.ts';
import { shown } from './show.ts';

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

/** @param mustWait Whether the switch is waited for, and errors of new interfaces are told. */
export function needsOf(
  schema: DatabaseSchema,
  invocations: readonly Invocation[],
  mustWait: boolean,
): MonitorTables {
  if (invocations.some(({ name }) => name === 'emer-reset')) return 'all';
  const needs = new Needs(schema);
  needs.add({ Open_vSwitch: ['cur_cfg'] });
  if (mustWait) needs.add({ Interface: ['name', 'ofport', 'error'] });
  for (const invocation of invocations) {
    const { name } = invocation;
    if (name === 'show') needs.add(shownColumns());
    else if (Object.hasOwn(generic, name)) needs.addGeneric(invocation);
    else for (const columns of fixed[name] ?? [bridges, interfaces]) needs.add(columns);
  }
  return needs.tables();
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

  /** A name that is wrong is told by the command itself. */
  addGeneric({ name, args, options }: Invocation): void {
    try {
      const table = findTable(this.#schema, args[0] ?? '');
      this.add({ [table.name]: [] });
      for (const id of rowIds[table.name] ?? [])
        this.add({ [id.table]: [id.name, id.via].filter((column) => column !== null) });
      const listed =
        options
          .get('columns')
          ?.split(/[ ,]+/)
          .filter((word) => word !== '') ?? [];
      const isListing = name === 'list' || name === 'find';
      if (isListing && listed.length === 0) this.#tables.set(table.name, 'all');
      const words = [...(generic[name]?.(args) ?? []), ...listed];
      this.add({ [table.name]: words.map((word) => findColumn(table, readToken(word, 0).token, true).name) });
    } catch (error) {
      if (!(error instanceof OvsError)) throw error;
    }
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
