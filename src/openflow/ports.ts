/**
 * OpenFlow's reserved port numbers, in the 32-bit form that all of the switch uses.
 *
 * OpenFlow 1.0 has 16-bit ports: 0xff00-0xffff there is 0xffffff00-0xffffffff here.
 */
import type { OfpPort } from '../util/brand.ts';

const port = (n: number): OfpPort => n as OfpPort;

/** First port number that 1.0 reserves: ordinary ports are below. */
export const OFPP_MAX = port(0xff00);
export const OFPP_UNSET = port(0xfffffff7);
export const OFPP_IN_PORT = port(0xfffffff8);
export const OFPP_TABLE = port(0xfffffff9);
export const OFPP_NORMAL = port(0xfffffffa);
export const OFPP_FLOOD = port(0xfffffffb);
export const OFPP_ALL = port(0xfffffffc);
export const OFPP_CONTROLLER = port(0xfffffffd);
export const OFPP_LOCAL = port(0xfffffffe);
/** OFPP_NONE of 1.0, OFPP_ANY of later versions. */
export const OFPP_NONE = port(0xffffffff);

export const OFPG_ALL = 0xfffffffc;
export const OFPG_ANY = 0xffffffff;
export const OFPTT_ALL = 0xff;
export const OFPQ_ALL = 0xffffffff;
export const OFP_NO_BUFFER = 0xffffffff;

const reserved: readonly (readonly [string, number])[] = [
  ['IN_PORT', OFPP_IN_PORT],
  ['TABLE', OFPP_TABLE],
  ['NORMAL', OFPP_NORMAL],
  ['FLOOD', OFPP_FLOOD],
  ['ALL', OFPP_ALL],
  ['CONTROLLER', OFPP_CONTROLLER],
  ['LOCAL', OFPP_LOCAL],
  ['ANY', OFPP_NONE],
  ['UNSET', OFPP_UNSET],
];

/** Name of a reserved port as OVS prints it, or undefined for an ordinary number. */
export function reservedPortName(number: number): string | undefined {
  return reserved.find(([, n]) => n === number)?.[0];
}

/** The 32-bit form of a 16-bit port. */
export function ofp10ToOfp11Port(number: number): OfpPort {
  return port(number < OFPP_MAX ? number : (number | 0xffff0000) >>> 0);
}
