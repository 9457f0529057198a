/**
 * The configuration as the switch wants it: plain objects read from the database in one go.
 *
 * Why not the rows themselves: reconfiguration compares wishes with what runs; it must see one
 * consistent picture, and tests and `megaflow` embedders can hand in such a picture without any
 * database. Column meanings: ovs-vswitchd.conf.db(5).
 */
export interface SwitchConfig {
  readonly uuid: string;
  readonly nextCfg: number;
  readonly curCfg: number;
  readonly otherConfig: ReadonlyMap<string, string>;
  readonly bridges: readonly BridgeConfig[];
}

export interface BridgeConfig {
  readonly uuid: string;
  readonly name: string;
  /** '' means 'system'. */
  readonly datapathType: string;
  readonly failMode: 'standalone' | 'secure' | '';
  readonly protocols: readonly string[];
  readonly controllers: readonly ControllerRow[];
  readonly ports: readonly PortConfig[];
  readonly otherConfig: ReadonlyMap<string, string>;
  readonly flowTables: ReadonlyMap<number, FlowTableConfig>;
}

export interface FlowTableConfig {
  readonly name: string;
  readonly flowLimit: number | undefined;
  readonly prefixes: readonly string[];
}

export interface ControllerRow {
  readonly uuid: string;
  readonly target: string;
  /** Milliseconds; undefined = default. */
  readonly maxBackoffMs: number | undefined;
  readonly inactivityProbeMs: number | undefined;
  readonly enableAsyncMessages: boolean;
  readonly rateLimit: number | undefined;
  readonly burstLimit: number | undefined;
  readonly otherConfig: ReadonlyMap<string, string>;
  readonly connectionMode: string;
}

export interface PortConfig {
  readonly uuid: string;
  readonly name: string;
  readonly tag: number | undefined;
  readonly trunks: readonly number[];
  readonly vlanMode: string;
  readonly otherConfig: ReadonlyMap<string, string>;
  readonly interfaces: readonly InterfaceConfig[];
}

export interface InterfaceConfig {
  readonly uuid: string;
  readonly name: string;
  readonly type: string;
  readonly options: ReadonlyMap<string, string>;
  readonly ofportRequest: number | undefined;
  /** What the database remembers, kept over restarts where it is free. */
  readonly ofport: number | undefined;
  /** aa:bb:cc:dd:ee:ff or ''. */
  readonly mac: string;
  readonly mtuRequest: number | undefined;
  readonly otherConfig: ReadonlyMap<string, string>;
}
