/**
 * A memory layout, declared once and generated for TypeScript and AssemblyScript.
 *
 * What: the name, size and fields of a fixed record. `tools/codegen` turns each layout into a
 * `generated/` file per language that holds nothing but offsets and one accessor pair per field.
 *
 * Why: two languages read the same bytes. One table, two generated readers and a hash that both
 * export (compared at start) keep them from drifting apart.
 *
 * Rule: fixed offsets and scalars only. Anything that needs a condition, a loop or a length is
 * written by hand beside the layout.
 */
export type LayoutType =
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 'f64'
  | 'ptr' // u32 arena address; TypeScript reads it unsigned
  | 'be16'
  | 'be32'
  | 'be64'
  | 'mac' // 6 bytes
  | 'bytes'; // `length` bytes, no scalar accessor

export interface LayoutField {
  /** Byte offset from the start of the record. */
  readonly at: number;
  readonly type: LayoutType;
  /** Bytes, for `bytes` only. */
  readonly length?: number;
  readonly doc: string;
}

export interface LayoutSpec {
  readonly name: string;
  /** Bytes of the record. */
  readonly size: number;
  readonly source: string;
  readonly fields: Readonly<Record<string, LayoutField>>;
}
