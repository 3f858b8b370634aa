/** @import { ChannelEvents, ChannelKind, ClientEvents, ClientOptions, ClientState, Frame, Parked, PlayoutReport, TellingOf } from './jarvis/client.js' */
/** @import { ParamsOf, SessionDraining, SessionReady } from './jarvis/protocol.js' */
/** @typedef {{type: string, [field: string]: any}} Command */
/** @typedef {{resolve: (data: any) => void, reject: (error: Error) => void}} Waiting */
/** The gateway refused a command, or finally refused the connection. */
export class JarvisError extends Error {
    /**
     * @param {string} code UPPER_SNAKE, from the protocol @param {string} message text for people; the wrong fields are added
     * @param {Record<string, any>} [details] of a refused `call`, such as `confirmation_id` and `errors`
     */
    constructor(code: string, message: string, details?: Record<string, any>);
    code: string;
    details: Record<string, any>;
}
declare const JarvisChannel_base: TellingOf<ChannelEvents>;
/**
 * One stream of work. Every message of the channel is an event of its type (`stt.final`, `turn.reply` …) and also a `message`;
 * `audio` carries a frame; `stale` means that audio not played yet must be dropped; `closed` is the last event. `event.detail` is the message.
 */
export class JarvisChannel extends JarvisChannel_base {
    /** @param {JarvisClient} client @param {number} number @param {ChannelKind} kind */
    constructor(client: JarvisClient, number: number, kind: ChannelKind);
    /** @readonly */ readonly number: number;
    /** @readonly */ readonly kind: ChannelKind;
    /** Generation of the newest audio; older frames never reach the page. */
    generation: number;
    isClosed: boolean;
    /** @internal of the command that opened it */ id: string;
    /** Microphone bytes dropped because there was no credit or no socket in time. */
    lostBytes: number;
    /** @type {Set<string>} what is under way: speech into it, words that no turn has begun for, turns, work that can't move */
    underWay: Set<string>;
    /** Bytes of microphone audio that may be sent now. */
    get credit(): number;
    /** Bytes of microphone audio, sent or waiting, that the server has not taken yet. */
    get keptBytes(): number;
    /** Frames that wait for credit or a socket. */
    get waitingFrames(): number;
    /**
     * Send a microphone frame. It is kept until the server has taken it.
     * @param {Uint8Array | ArrayBuffer} payload @param {number} [ptsMs] position in the input
     */
    sendAudio(payload: Uint8Array | ArrayBuffer, ptsMs?: number): void;
    /** Send the next piece of text on a `tts` channel. @param {string} text */
    sendText(text: string): void;
    /** End the utterance here (push-to-talk). */
    commit(): void;
    /** End the channel's input. */
    end(): void;
    /** Cancel the channel's work. */
    cancel(): void;
    /**
     * Report audio as played or dropped: its credit is returned, and the server learns the utterance's position.
     * @param {number} bytes @param {number} [playedMs] of the current utterance @param {number} [generation] of that audio
     */
    played(bytes: number, playedMs?: number, generation?: number): void;
    /** @internal @param {number} bytes of received audio */
    came(bytes: number): void;
    /** @internal */
    park(): {
        number: number;
        kind: ChannelKind;
        generation: number;
        owed: number;
        heardMs: number;
    };
    /** @internal Send what the credit covers. @param {number} [before] only frames below this number */
    flush(before?: number): void;
    /** @internal @param {number} bytes @param {number} [nextFrame] frames before this number need not be kept */
    granted(bytes: number, nextFrame?: number): void;
    /** @internal After a resume: the frame that the server expects next. Credit of lost frames is returned. @param {number} nextFrame */
    resumed(nextFrame: number): void;
    /** @internal */
    beginUtterance(): void;
    /**
     * True if the frame was received before: speech may overlap after a move to another replica (PROTOCOL.md, section 8).
     * @internal @param {Frame} frame
     */
    heardBefore({ generation, ptsMs, flags }: Frame): boolean;
    /** @internal @param {number} generation */
    raise(generation: number): void;
    /** @internal Note what is under way: a draining gateway is left in a pause. @param {any} message */
    note({ type, text, turn_id }: any): void;
    /** @internal @param {JarvisError} error */
    fail({ code, message }: JarvisError): void;
    /** @internal @param {any} message */
    close(message: any): void;
    #private;
}
declare const JarvisClient_base: TellingOf<ClientEvents>;
/**
 * A session with a gateway. Events: `state` (the new state), `ready`, `resumed` (with `took_ms`), `disconnected` (with `retry_in_ms`,
 * null if it does not reconnect), `failed` (a JarvisError), `draining`, `resumable`, `error` (without a channel, and no answer to a call), `wire` (every message and frame, for developers).
 */
export class JarvisClient extends JarvisClient_base {
    /**
     * @param {string} url of the gateway: http://, https://, ws:// or wss://
     * @param {ClientOptions} [options]
     */
    constructor(url: string, options?: ClientOptions);
    /** @readonly */ readonly sessionId: string;
    /** @type {any} the last session.ready */ ready: any;
    /** @type {ClientState} */ state: ClientState;
    /** @type {number | null} round trip of the last ping, in milliseconds */ rttMs: number | null;
    /** With this another page, or a reload, continues the session; null outside one. @returns {Parked | null} */
    park(): Parked | null;
    get connected(): boolean;
    /** Of the newest message received. */
    get lastSeq(): number;
    /** Commands that the server has not acknowledged. */
    get pendingCommands(): number;
    /** Open channels. */
    get channels(): JarvisChannel[];
    /**
     * Resolves when the session is ready; rejects with a JarvisError. Its `code` is UNREACHABLE (no answer from the address),
     * ORIGIN_REFUSED (it answers, but not to this page), REFUSED (it answers, but opens no socket), INVALID_URL, NO_WEBSOCKET, or a code from
     * the gateway, such as UNAUTHENTICATED. A session that was ready once keeps trying; what waits for it longer than the gateway keeps a
     * session (a minute) ends with SESSION_LOST.
     * @param {{keepTrying?: boolean}} [options] `keepTrying`: wait for a gateway that cannot be reached yet
     * @returns {Promise<SessionReady>} `session.ready`
     */
    connect({ keepTrying }?: {
        keepTrying?: boolean;
    }): Promise<SessionReady>;
    /** Try again now. */
    retryNow(): void;
    /** End the session. */
    close(): void;
    /** Drop the socket as a bad network would; the client reconnects and resumes. @param {number} [awayMs] */
    cut(awayMs?: number): void;
    /** Run an operation by name (`agent.intent`, `memory.store` …). @param {string} op @param {object} [params] @returns {Promise<any>} */
    call(op: string, params?: object): Promise<any>;
    /**
     * Approve or decline a risky action. With the question's `action_hash` nothing but what it names is approved.
     * @param {string} confirmationId @param {boolean} approve @param {string} [actionHash] @returns {Promise<any>}
     */
    confirm(confirmationId: string, approve: boolean, actionHash?: string): Promise<any>;
    /** Send a newer token of the same user before the old one expires (`auth.expiring`). @param {string} token */
    refreshAuth(token: string): void;
    /**
     * Open a channel. Its `closed` comes in any case: where no session is left, at once.
     * @template {ChannelKind} K
     * @param {K} kind @param {ParamsOf[K]} [params] @returns {JarvisChannel}
     */
    open<K extends ChannelKind>(kind: K, params?: ParamsOf[K]): JarvisChannel;
    /**
     * Send any command. It is numbered, and kept until the server acknowledges it.
     * @param {Command} command @param {number} [after] its channel's frames before this number are sent first
     */
    send(command: Command, after?: number): void;
    /** @internal @param {Uint8Array<ArrayBuffer>} bytes @returns {boolean} whether it was sent */
    sendBinary(bytes: Uint8Array<ArrayBuffer>): boolean;
    /** Measure the round trip; `rttMs` is set by the `pong`. */
    ping(): void;
    #private;
}
declare const Microphone_base: TellingOf<Record<string, any>>;
/**
 * The microphone as 16-bit mono PCM, 20 ms per frame, at the device's rate (the gateway resamples once). Needs a page on https or
 * localhost. Events: `frame` with `{pcm: Uint8Array, ptsMs, level}` (level: the loudest sample, 0 to 1) and, for a recording, `ended`.
 */
export class Microphone extends Microphone_base {
    /** @param {{deviceId?: string, sampleRate?: number, worklet?: string}} [options] `sampleRate` instead of the device's own */
    constructor(options?: {
        deviceId?: string;
        sampleRate?: number;
        worklet?: string;
    });
    options: {
        deviceId?: string;
        sampleRate?: number;
        worklet?: string;
    };
    /** If true, frames are still reported but not sent; for push-to-talk. */
    isMuted: boolean;
    /** From the last frame's completion until it was sent or waited for credit, in ms. */
    delayMs: number;
    /** The frames' rate in Hz; known after `start`. */
    get sampleRate(): number;
    /** Ask for the device and start. @param {MediaStream | AudioBuffer} [input] used instead of a microphone; silence follows a recording */
    start(input?: MediaStream | AudioBuffer): Promise<void>;
    /** Send all further frames to that channel; null: send none. @param {JarvisChannel | null} channel */
    sendTo(channel: JarvisChannel | null): void;
    /** Release the device. */
    stop(): Promise<void>;
    #private;
}
/**
 * The loudspeaker: plays the speech of channels, each through its own jitter buffer, and reports to the server what was really played.
 */
export class Speaker {
    /** @param {{worklet?: string}} [options] */
    constructor(options?: {
        worklet?: string;
    });
    /** @type {AudioContext | null} */ context: AudioContext | null;
    /** @type {GainNode | null} all sound goes through it; for volume control or an analyser */ output: GainNode | null;
    options: {
        worklet?: string;
    };
    /** Browsers require a click or key press before it; without, it fails with NO_SOUND. May be called again. */
    start(): Promise<void>;
    loaded: Promise<void> | undefined;
    /** Play the channel's speech. @param {JarvisChannel} channel @returns {Playout} */
    play(channel: JarvisChannel): Playout;
    stop(): Promise<void>;
}
declare const Playout_base: TellingOf<Record<string, any>>;
/** Plays one channel's speech. Events: `report` (a PlayoutReport), `sounding` (the first sample of an utterance), `silent`, `underrun`. */
export class Playout extends Playout_base {
    /** @internal @param {JarvisChannel} channel @param {AudioContext} context @param {AudioNode} output */
    constructor(channel: JarvisChannel, context: AudioContext, output: AudioNode);
    /** Stop at once and drop the buffered audio. */
    flush(): void;
    #private;
}
export type Command = {
    type: string;
    [field: string]: any;
};
export type Waiting = {
    resolve: (data: any) => void;
    reject: (error: Error) => void;
};
import type { ChannelEvents } from './jarvis/client.js';
import type { TellingOf } from './jarvis/client.js';
import type { ChannelKind } from './jarvis/client.js';
import type { Frame } from './jarvis/client.js';
import type { ClientEvents } from './jarvis/client.js';
import type { ClientState } from './jarvis/client.js';
import type { Parked } from './jarvis/client.js';
import type { SessionReady } from './jarvis/protocol.js';
import type { ParamsOf } from './jarvis/protocol.js';
import type { ClientOptions } from './jarvis/client.js';
export {};
