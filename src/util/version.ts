/** The Open vSwitch release that we answer as: scripts compare it. */
export const OVS_VERSION = '3.1.0';
/** Version of the Open_vSwitch schema in share/. */
export const DB_SCHEMA_VERSION = '8.3.1';
const MEGAFLOW_VERSION = '0.1.0';

/** First line in OVS's form, ours on a further line. */
export function versionText(program: string): string {
  return `${program} (Open vSwitch) ${OVS_VERSION}\nmegaflow ${MEGAFLOW_VERSION}`;
}
