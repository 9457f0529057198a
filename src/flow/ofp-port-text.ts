import type { PortMap } from './port-map.ts';
import { noPorts } from './port-map.ts';

/** Reserved ports, 32-bit numbers, with the names that text uses. */
const reservedPorts: readonly (readonly [name: string, port: number])[] = [
  ['IN_PORT', 0xfffffff8],
  ['TABLE', 0xfffffff9],
  ['NORMAL', 0xfffffffa],
  ['FLOOD', 0xfffffffb],
  ['ALL', 0xfffffffc],
  ['CONTROLLER', 0xfffffffd],
  ['LOCAL', 0xfffffffe],
  ['ANY', 0xffffffff],
  ['UNSET', 0xfffffff7],
];

/** Name of a reserved port, of a port in the map (quoted if need be), or the number. */
export function formatOfpPort(port: number, ports: PortMap = noPorts): string {
  for (const [name, number] of reservedPorts) if (number === port >>> 0) return name;
  const known = ports.byNumber(port);
  // Reserved ports without a name are said as their 16-bit numbers.
  if (known === undefined) return String(port >>> 0 >= 0xffffff00 ? port & 0xffff : port >>> 0);
  return plainName.test(known) && !reservedPorts.some(([n]) => n === known.toUpperCase())
    ? known
    : JSON.stringify(known);
}

const plainName = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/** A port given as number (also 16-bit reserved ones), reserved name or name in the map. */
export function parseOfpPort(text: string, ports: PortMap = noPorts): number | undefined {
  if (/^\d+$/.test(text)) {
    const n = Number(text);
    if (n < 0xfff7) return n;
    // 16-bit forms of the reserved ports.
    if (n <= 0xffff) return (n | 0xffff0000) >>> 0;
    if (n < 0xffffff00 || n > 0xffffffff) return undefined;
    return n >= 0xfffffff7 ? n : n & 0xffff;
  }
  const upper = text.toUpperCase();
  for (const [name, number] of reservedPorts) if (name === upper) return number;
  if (upper === 'NONE') return 0xffffffff;
  return ports.byName(unquote(text));
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : text;
  } catch {
    return text;
  }
}
