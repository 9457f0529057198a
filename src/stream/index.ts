/** What other layers use of the stream layer. */
export * from './byte-stream.ts';
export { dscpOf } from './dscp.ts';
export * from './errno.ts';
export * from './json.ts';
export * from './json-stream.ts';
export * from './jsonrpc.ts';
export * from './target.ts';
export * from './timers.ts';
export * from './tls-identity.ts';
export * from './tls-options.ts';
export * from './unixctl.ts';
export * from './reconnect.ts';
export * from './session.ts';
export * from './daemon-commands.ts';
export * from './unixctl-client.ts';
