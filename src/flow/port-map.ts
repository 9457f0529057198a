/** Names of OpenFlow ports, for reading and printing text. */
export interface PortMap {
  /** Port number of a name, absent when there is none. */
  readonly byName: (name: string) => number | undefined;
  /** Name of a port number, absent when there is none (the number is printed). */
  readonly byNumber: (port: number) => string | undefined;
}

export const noPorts: PortMap = { byName: () => undefined, byNumber: () => undefined };
