import { vlogUsage } from '../../sys/daemon.ts';
import { ovsDbdir } from '../../sys/dirs.ts';
import { defaultSchemaFile } from '../../ovsdb/server/share-dir.ts';

export function usage(program: string): string {
  return `${program}: Open vSwitch database management utility
usage: ${program} [OPTIONS] COMMAND [ARG...]
  create [DB [SCHEMA]]    create DB with the given SCHEMA
  [--election-timer=ms] create-cluster DB CONTENTS LOCAL
    create clustered DB with given CONTENTS and LOCAL address
  [--cid=UUID] join-cluster DB NAME LOCAL REMOTE...
    join clustered DB with given NAME and LOCAL and REMOTE addrs
  compact [DB [DST]]      compact DB in-place (or to DST)
  convert [DB [SCHEMA [DST]]]   convert DB to SCHEMA (to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-cid DB               report cluster ID of clustered DB
  db-sid DB               report server ID of clustered DB
  db-local-address DB     report local address of clustered DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  compare-versions A OP B  compare OVSDB schema version numbers
  query [DB] TRNS         execute read-only transaction on DB
  transact [DB] TRNS      execute read/write transaction on DB
  cluster-to-standalone DB DB    Convert clustered DB to
      standalone DB when cluster is down and cannot be
        revived
  [-m]... show-log [DB]   print DB's log entries
The default DB is ${ovsDbdir()}/conf.db.
The default SCHEMA is ${defaultSchemaFile()}.
${vlogUsage(program)}
Other options:
  -m, --more                  increase show-log verbosity
  --rbac-role=ROLE            RBAC role for transact and query commands
  -h, --help                  display this help message
  -V, --version               display version information
`;
}

/** Commands and their arguments, in the stock tool's order. */
const argumentsOf: Readonly<Record<string, string>> = {
  create: '[db [schema]]',
  'create-cluster': 'db contents local',
  'join-cluster': 'db name local remote...',
  compact: '[db [dst]]',
  convert: '[db [schema [dst]]]',
  'needs-conversion': '',
  'db-name': '[db]',
  'db-version': '[db]',
  'db-cksum': '[db]',
  'db-cid': 'db',
  'db-sid': 'db',
  'db-local-address': 'db',
  'db-is-clustered': 'db',
  'db-is-standalone': 'db',
  'schema-name': '[schema]',
  'schema-version': '[schema]',
  'schema-cksum': '[schema]',
  query: '[db] trns',
  transact: '[db] trns',
  'show-log': '[db]',
  'check-cluster': 'db...',
  'compare-versions': 'a op b',
  help: '',
  'list-commands': '',
  'cluster-to-standalone': 'db clusterdb',
};

/** What `list-commands` prints. */
export const commandList = `The available commands are:\n${Object.entries(argumentsOf)
  .map(([name, args]) => `  ${name.padEnd(23)} ${args}\n`)
  .join('')}`;
