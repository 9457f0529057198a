import { readFileSync } from 'node:fs';

/**
 * Type ids in the kernel's own BTF (Documentation/bpf/btf.rst), by which a program names the kernel
 * functions that it calls.
 */
const vmlinux = '/sys/kernel/btf/vmlinux';
const BTF_KIND_FUNC = 12;
/** Bytes that follow a type's 12, by kind: a fixed number, and for each of its members. */
const extraBytes: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0],
  3: [12, 0],
  4: [0, 12],
  5: [0, 12],
  6: [0, 8],
  13: [0, 8],
  14: [4, 0],
  15: [0, 12],
  17: [4, 0],
  19: [0, 12],
};

/** Id of a function in BTF bytes, 0 = not there. */
export function btfFunctionId(btf: Uint8Array, name: string): number {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  const isNative = btf.length >= 24 && view.getUint16(0, true) === 0xeb9f;
  if (!isNative) return 0;
  const [header, typeOffset, typeBytes, stringOffset] = [4, 8, 12, 16].map((at) => view.getUint32(at, true));
  const strings = (header ?? 0) + (stringOffset ?? 0);
  const found = Buffer.from(btf.buffer, btf.byteOffset, btf.byteLength).indexOf(`\0${name}\0`, strings);
  if (found < 0) return 0;
  const nameOffset = found + 1 - strings;
  const end = (header ?? 0) + (typeOffset ?? 0) + (typeBytes ?? 0);
  for (let at = (header ?? 0) + (typeOffset ?? 0), id = 1; at + 12 <= end; id++) {
    const info = view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 31;
    if (kind === BTF_KIND_FUNC && view.getUint32(at, true) === nameOffset) return id;
    const [fixed, each] = extraBytes[kind] ?? [0, 0];
    at += 12 + fixed + each * (info & 0xffff);
  }
  return 0;
}

const $ids = new Map<string, number>();

/** Id of a function of the running kernel, 0 when it has none of that name or does not tell. */
export function kernelFunctionId(name: string): number {
  let id = $ids.get(name);
  if (id === undefined) {
    try {
      id = btfFunctionId(readFileSync(vmlinux), name);
    } catch {
      id = 0;
    }
    $ids.set(name, id);
  }
  return id;
}
