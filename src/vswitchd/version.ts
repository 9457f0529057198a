export { OVS_VERSION, versionText } from '../util/version.ts';
