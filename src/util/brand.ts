/** Numbers that look alike but must not be mixed. */
declare const brand: unique symbol;
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** OpenFlow port number of one bridge (32-bit form; OFPP_* reserved values at the top). */
export type OfpPort = Brand<number, 'OfpPort'>;
/** Datapath port number, unique in one datapath. */
export type OdpPort = Brand<number, 'OdpPort'>;
export type TableId = Brand<number, 'TableId'>;
export type DatapathId = Brand<bigint, 'DatapathId'>;
