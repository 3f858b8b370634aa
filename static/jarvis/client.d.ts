/** The types of the client's options and events: apart from the code, so that no page loads them. */

import type { JarvisError } from '../jarvis-client.js';
import type { ChannelClosed, ServerMessage, ServerMessages, SessionDraining, SessionReady, SessionResumed } from './protocol.js';

export type ChannelKind = 'stt' | 'tts' | 'execute' | 'turn' | 'observe';
export type ClientState = 'idle' | 'connecting' | 'online' | 'waiting' | 'failed' | 'closed';

/** A binary frame. */
export interface Frame {
  /** LAST, LOST, or both. */
  flags: number;
  /** 1 to 65535. */
  channel: number;
  /** Audio of an older generation than the newest must not be played; 0 from a client. */
  generation: number;
  /** The channel's frame number from a client, the session's sequence number from a server. */
  seq: number;
  /** Position in the input or utterance, in milliseconds. */
  ptsMs: number;
  /** Audio in the channel's encoding. */
  payload: Uint8Array;
}

/** The events of a channel: every message by its type, and the client's own. */
export type ChannelEvents = ServerMessages & {
  audio: Frame;
  stale: { generation: number };
  message: ServerMessage;
  closed: ChannelClosed;
};

export interface Disconnected {
  /** Of the close. */
  code: number;
  reason: string;
  /** Null if the client does not reconnect. */
  retry_in_ms: number | null;
}

export type ClientEvents = ServerMessages & {
  state: ClientState;
  ready: SessionReady;
  resumed: SessionResumed & { took_ms: number };
  disconnected: Disconnected;
  failed: JarvisError;
  draining: SessionDraining;
  wire: { direction: 'in' | 'out'; message?: any; bytes?: Uint8Array };
};

export interface ClientOptions {
  /** The conversation's id; generated if left out. */
  sessionId?: string;
  /** An access token. */
  token?: string;
  /**
   * Called before every connection, because a ticket is valid once. A JarvisError that it throws is final; any other error is
   * taken for a network failure, and the client tries again.
   */
  getTicket?: () => Promise<string>;
  /** Instead of a token, if the gateway runs with DEBUG; any, if a proxy adds the token to each handshake, as a token goes before it. */
  userId?: string;
  /** The result of `park()` from an earlier page: continues that session with its open channels. */
  resume?: Parked;
  /** Consent to a recording, if the gateway makes them; `ready.recording` tells whether it does. */
  record?: boolean;
  /** Another implementation, such as `ws` for Node before 22, or for tests. */
  webSocket?: any;
}

/**
 * A session to continue in another page, as JSON. Secret: it contains the resume token. Valid while the gateway waits
 * (`ready.resume_window_ms`).
 */
export interface Parked {
  sessionId: string;
  ready: any;
  resumeToken: string;
  lastSeq: number;
  nextCommand: number;
  nextChannel: number;
  commands: { command: any; after?: number }[];
  channels: { number: number; kind: ChannelKind; generation: number; owed: number; heardMs: number }[];
}

/** An EventTarget whose events carry a `detail`. `Events` maps event names to its types. */
export type TellingOf<Events> = new () => Omit<EventTarget, 'addEventListener'> & {
  addEventListener<T extends keyof Events>(
    type: T,
    listener: (event: CustomEvent<Events[T]>) => void,
    options?: AddEventListenerOptions,
  ): void;
};

export interface PlayoutReport {
  /** Played time of the current utterance. */
  playedMs: number;
  /** Time waiting in the jitter buffer. */
  queuedMs: number;
  /** The buffer depth at which playing starts; grows with each underrun. */
  targetMs: number;
  /** How often the buffer was empty inside an utterance. */
  underruns: number;
  /** Time dropped by interruptions. */
  droppedMs: number;
}
