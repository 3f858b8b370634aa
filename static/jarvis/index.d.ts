/** The package's types: the client, its options and events, and the gateway's messages. */

export * from '../jarvis-client.js';
export type * from './client.js';
export type * from './protocol.js';
