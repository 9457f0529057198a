import type { SwitchConfig } from './model.ts';

/** A value for a column: scalars, arrays for sets, Map for maps. */
export type ColumnValue =
  string | number | boolean | readonly (string | number | boolean)[] | ReadonlyMap<string, string | number>;

export interface RowUpdate {
  readonly table: string;
  readonly uuid: string;
  readonly columns: Readonly<Record<string, ColumnValue>>;
}

/**
 * Where the configuration comes from and status goes to.
 *
 * The daemon has one over OVSDB (ovsdb-store.ts); an embedder may hand in its own. Main thread only.
 */
export interface ConfigStore {
  /** Grows whenever `read` may answer differently. */
  readonly changeSeq: number;
  /** The whole configuration, null while it is not known (not connected, no Open_vSwitch row). */
  read(): SwitchConfig | null;
  /** Connected, but there is no Open_vSwitch row: nothing to be configured. */
  readonly isEmpty: boolean;
  /**
   * Writes status columns in one transaction; columns that already have the value are left out.
   * @returns false when it failed and should be tried again.
   */
  write(updates: readonly RowUpdate[]): Promise<boolean>;
  /** Called when `changeSeq` moved. */
  onChange: () => void;
  close(): void;
}
