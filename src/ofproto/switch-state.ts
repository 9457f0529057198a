import type { DatapathId } from '../util/brand.ts';
import type { Connmgr } from './connection/connmgr.ts';
import type { FlowLife } from './flow-life.ts';
import type { FlowModHost } from './flow-mod.ts';
import type { FlowModReader } from './flow-mod-reader.ts';
import type { FlowTables } from './flow-tables.ts';
import type { OfprotoDependencies } from './ofproto-types.ts';
import type { PortTable } from './port-table.ts';

export interface SwitchDescription {
  manufacturer: string;
  hardware: string;
  software: string;
  serial: string;
  datapath: string;
}

export type FragHandling = 'normal' | 'drop' | 'nx-match';

/** The switch as request handlers see it: everything that `Ofproto` owns. */
export interface SwitchState {
  readonly name: string;
  readonly bridgeId: number;
  readonly deps: OfprotoDependencies;
  readonly datapathId: DatapathId;
  readonly flowTables: FlowTables;
  readonly portTable: PortTable;
  readonly connmgr: Connmgr;
  readonly life: FlowLife;
  readonly flowModHost: FlowModHost;
  readonly flowModReader: FlowModReader;
  readonly description: SwitchDescription;
  fragHandling: FragHandling;
}
