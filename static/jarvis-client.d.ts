/** @typedef {'stt' | 'tts' | 'execute' | 'turn' | 'observe'} ChannelKind */
/** @typedef {'idle' | 'connecting' | 'online' | 'waiting' | 'failed' | 'closed'} ClientState */
/** @typedef {import('./jarvis/codec.js').Frame} Frame */
/** @typedef {import('./jarvis/protocol.js').ParamsOf} ParamsOf */
/** @typedef {import('./jarvis/protocol.js').ServerMessages} ServerMessages */
/**
 * What a channel tells: every message by its type, and the client's own words.
 * @typedef {ServerMessages & {audio: Frame, stale: {generation: number}, message: import('./jarvis/protocol.js').ServerMessage,
 *   closed: import('./jarvis/protocol.js').ChannelClosed}} ChannelEvents
 */
/**
 * @typedef {object} Disconnected
 * @property {number} code of the close
 * @property {string} reason
 * @property {number | null} retry_in_ms null when it is over
 */
/**
 * @typedef {ServerMessages & {state: ClientState, ready: import('./jarvis/protocol.js').SessionReady,
 *   resumed: import('./jarvis/protocol.js').SessionResumed & {took_ms: number}, disconnected: Disconnected, failed: JarvisError,
 *   draining: import('./jarvis/protocol.js').SessionDraining,
 *   wire: {direction: 'in' | 'out', message?: any, bytes?: Uint8Array}}} ClientEvents
 */
/**
 * @typedef {object} ClientOptions
 * @property {string} [sessionId] the conversation; one is made up when left out
 * @property {string} [token] an access token
 * @property {() => Promise<string>} [getTicket] asked before every connection, for a ticket is good once. A JarvisError that it
 *   throws is final; any other error counts as a network that will come back
 * @property {string} [userId] instead of a token, with a gateway in DEBUG
 * @property {Parked} [resume] what `park()` gave before the page was left: the session goes on, with its open channels
 * @property {boolean} [record] consent to a recording, where the gateway makes them: `ready.recording` tells
 * @property {any} [webSocket] another implementation: `ws` for a Node without one (before 22), or for tests
 */
/**
 * A session to go on with in another page: JSON, and secret, as it holds the resume token. Good as long as the gateway waits (`ready.resume_window_ms`).
 * @typedef {object} Parked
 * @property {string} sessionId
 * @property {any} ready
 * @property {string} resumeToken
 * @property {number} lastSeq
 * @property {number} nextCommand
 * @property {number} nextChannel
 * @property {{command: any, after?: number}[]} commands
 * @property {{number: number, kind: ChannelKind, generation: number, owed: number}[]} channels
 */
/** The gateway refused a command, or the connection for good. */
export class JarvisError extends Error {
    /**
     * @param {string} code UPPER_SNAKE, from the protocol @param {string} message for people
     * @param {Record<string, any>} [details] of a refused `call`: `confirmation_id`, `errors` and the like
     */
    constructor(code: string, message: string, details?: Record<string, any>);
    code: string;
    details: Record<string, any>;
}
declare const JarvisChannel_base: TellingOf<ChannelEvents>;
/**
 * One stream of work. Every message of the channel is an event of its type (`stt.final`, `turn.reply` …) and also a `message`;
 * `audio` carries a frame; `stale` says that audio not yet played is not to be played; `closed` is the last. `event.detail` is the message.
 */
export class JarvisChannel extends JarvisChannel_base {
    /** @param {JarvisClient} client @param {number} number @param {ChannelKind} kind */
    constructor(client: JarvisClient, number: number, kind: ChannelKind);
    /** @readonly */ readonly number: number;
    /** @readonly */ readonly kind: ChannelKind;
    /** Of the newest audio; frames of an older one never reach the page. */
    generation: number;
    isClosed: boolean;
    /** Microphone bytes given up because neither credit nor socket came in time. */
    lostBytes: number;
    /** @type {Set<string>} what is under way: speech into it, words that no turn has begun for, turns, work that can't move */
    underWay: Set<string>;
    /** Bytes of microphone audio that may be sent before waiting. */
    get credit(): number;
    /** Bytes of microphone audio sent or waiting, that the server has not taken. */
    get keptBytes(): number;
    /** Frames that wait for credit or a socket. */
    get waitingFrames(): number;
    /**
     * Send a microphone frame; it is kept until the server has taken it.
     * @param {Uint8Array | ArrayBuffer} payload @param {number} [ptsMs] position in the input
     */
    sendAudio(payload: Uint8Array | ArrayBuffer, ptsMs?: number): void;
    /** The next piece of text of a `tts` channel. @param {string} text */
    sendText(text: string): void;
    /** The utterance ends here (push-to-talk). */
    commit(): void;
    /** No more input. */
    end(): void;
    /** Stop now. */
    cancel(): void;
    /**
     * Audio was played or thrown away: its credit goes back, and the server learns how far the utterance is.
     * @param {number} bytes @param {number} [playedMs] of the current utterance @param {number} [generation] of that audio
     */
    played(bytes: number, playedMs?: number, generation?: number): void;
    /** @internal @param {number} bytes of audio came */
    came(bytes: number): void;
    /** @internal */
    park(): {
        number: number;
        kind: ChannelKind;
        generation: number;
        owed: number;
    };
    /** @internal Send what credit covers. @param {number} [before] only frames below this number */
    flush(before?: number): void;
    /** @internal @param {number} bytes @param {number} [nextFrame] frames before this number need not be kept */
    granted(bytes: number, nextFrame?: number): void;
    /** @internal After a resume the server expects this frame next; credit spent on lost frames comes back. @param {number} nextFrame */
    resumed(nextFrame: number): void;
    /** @internal */
    beginUtterance(): void;
    /**
     * After a move to another replica speech may begin a little before where it was: that part was counted already (PROTOCOL.md, section 8).
     * @internal @param {Frame} frame
     */
    heardBefore({ generation, ptsMs, flags }: Frame): boolean;
    /** @internal @param {number} generation */
    raise(generation: number): void;
    /** @internal Keep in mind what is under way: a gateway that drains is left in a pause. @param {any} message */
    note({ type, text, turn_id }: any): void;
    /** @internal @param {any} message */
    close(message: any): void;
    #private;
}
declare const JarvisClient_base: TellingOf<ClientEvents>;
/**
 * A session with a gateway. Events: `state` (the new state), `ready`, `resumed` (with `took_ms`), `disconnected` (with `retry_in_ms`,
 * null when it is over), `failed` (a JarvisError), `draining`, `resumable`, `error` (of no channel), `wire` (every message and frame, for developers).
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
    /** What another page (the same one, after a reload) goes on with; null before there is a session, and after its end. @returns {Parked | null} */
    park(): Parked | null;
    get connected(): boolean;
    /** The number of the newest message received. */
    get lastSeq(): number;
    /** Commands the server has not acknowledged. */
    get pendingCommands(): number;
    /** Open channels. */
    get channels(): JarvisChannel[];
    /**
     * Resolves when the session is ready; rejects with a JarvisError that says why not. `code` is UNREACHABLE (nobody answers there),
     * ORIGIN_REFUSED (it answers, but not to this page), REFUSED (it answers, but opens no socket), INVALID_URL, NO_WEBSOCKET, or a code of
     * the gateway, such as UNAUTHENTICATED. A session that was ready once goes on trying whatever happens.
     * @param {{keepTrying?: boolean}} [options] `keepTrying`: a gateway that cannot be reached yet is waited for, and `disconnected` tells
     * @returns {Promise<import('./jarvis/protocol.js').SessionReady>} `session.ready`
     */
    connect({ keepTrying }?: {
        keepTrying?: boolean;
    }): Promise<import("./jarvis/protocol.js").SessionReady>;
    /** Do not wait for the next attempt. */
    retryNow(): void;
    /** Say goodbye: the session ends. */
    close(): void;
    /** Drop the socket as a bad network would; the client comes back and resumes. @param {number} [awayMs] */
    cut(awayMs?: number): void;
    /** One operation by name (`agent.intent`, `memory.store` …). @param {string} op @param {object} [params] @returns {Promise<any>} */
    call(op: string, params?: object): Promise<any>;
    /**
     * Answer a question about a risky action. With the question's `action_hash` nothing but what it names is approved.
     * @param {string} confirmationId @param {boolean} approve @param {string} [actionHash] @returns {Promise<any>}
     */
    confirm(confirmationId: string, approve: boolean, actionHash?: string): Promise<any>;
    /** A newer token of the same user, before the old one ends (`auth.expiring`). @param {string} token */
    refreshAuth(token: string): void;
    /**
     * Open a channel.
     * @template {ChannelKind} K
     * @param {K} kind @param {ParamsOf[K]} [params] @returns {JarvisChannel}
     */
    open<K extends ChannelKind>(kind: K, params?: ParamsOf[K]): JarvisChannel;
    /**
     * Send any command; it is numbered and kept until acknowledged.
     * @param {{type: string, [field: string]: any}} command @param {number} [after] its channel's frames before this number come first
     */
    send(command: {
        type: string;
        [field: string]: any;
    }, after?: number): void;
    /** @internal @param {Uint8Array<ArrayBuffer>} bytes @returns {boolean} whether it left */
    sendBinary(bytes: Uint8Array<ArrayBuffer>): boolean;
    /** Measure the round trip: `pong` follows, and `rttMs`. */
    ping(): void;
    #private;
}
declare const Microphone_base: TellingOf<Record<string, any>>;
/**
 * The microphone as 16-bit mono PCM, 20 ms a frame, at the device's own rate (the gateway resamples once). Needs a page on https or
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
    /** Frames are still told, but not sent: for push-to-talk. */
    isMuted: boolean;
    /** From the last frame being complete to its leaving this page (or to its waiting for credit), in whole milliseconds. */
    delayMs: number;
    /** Of the frames, in Hz; known after `start`. */
    get sampleRate(): number;
    /** Ask for the device and begin. @param {MediaStream | AudioBuffer} [input] something else than a microphone; silence follows a recording */
    start(input?: MediaStream | AudioBuffer): Promise<void>;
    /** Send what comes from now on to that channel; null: to nobody. @param {JarvisChannel | null} channel */
    sendTo(channel: JarvisChannel | null): void;
    /** Let go of the device. */
    stop(): Promise<void>;
    #private;
}
/**
 * @typedef {object} PlayoutReport
 * @property {number} playedMs of the current utterance
 * @property {number} queuedMs waiting in the jitter buffer
 * @property {number} targetMs the depth at which playing begins; grows with each underrun
 * @property {number} underruns how often the buffer ran dry inside an utterance
 * @property {number} droppedMs thrown away by interruptions
 */
/**
 * The loudspeaker: plays the speech of channels, each through a jitter buffer of its own, and tells the server what was really played.
 */
export class Speaker {
    /** @param {{worklet?: string}} [options] */
    constructor(options?: {
        worklet?: string;
    });
    /** @type {AudioContext | null} */ context: AudioContext | null;
    /** @type {GainNode | null} everything goes through it: for volume, or an analyser */ output: GainNode | null;
    options: {
        worklet?: string;
    };
    /** Must follow a click or key press, by the rule of browsers. May be called again. */
    start(): Promise<void>;
    loaded: Promise<void> | undefined;
    /** Play whatever that channel says. @param {JarvisChannel} channel @returns {Playout} */
    play(channel: JarvisChannel): Playout;
    stop(): Promise<void>;
}
declare const Playout_base: TellingOf<Record<string, any>>;
/** One channel's speech on its way to the ear. Events: `report` (a PlayoutReport), `sounding` (the first sample of an utterance), `silent`, `underrun`. */
export class Playout extends Playout_base {
    /** @internal @param {JarvisChannel} channel @param {AudioContext} context @param {AudioNode} output */
    constructor(channel: JarvisChannel, context: AudioContext, output: AudioNode);
    /** Silence, at once. */
    flush(): void;
    #private;
}
export type ChannelKind = "stt" | "tts" | "execute" | "turn" | "observe";
export type ClientState = "idle" | "connecting" | "online" | "waiting" | "failed" | "closed";
export type Frame = import("./jarvis/codec.js").Frame;
export type ParamsOf = import("./jarvis/protocol.js").ParamsOf;
export type ServerMessages = import("./jarvis/protocol.js").ServerMessages;
/**
 * What a channel tells: every message by its type, and the client's own words.
 */
export type ChannelEvents = ServerMessages & {
    audio: Frame;
    stale: {
        generation: number;
    };
    message: import("./jarvis/protocol.js").ServerMessage;
    closed: import("./jarvis/protocol.js").ChannelClosed;
};
export type Disconnected = {
    /**
     * of the close
     */
    code: number;
    reason: string;
    /**
     * null when it is over
     */
    retry_in_ms: number | null;
};
export type ClientEvents = ServerMessages & {
    state: ClientState;
    ready: import("./jarvis/protocol.js").SessionReady;
    resumed: import("./jarvis/protocol.js").SessionResumed & {
        took_ms: number;
    };
    disconnected: Disconnected;
    failed: JarvisError;
    draining: import("./jarvis/protocol.js").SessionDraining;
    wire: {
        direction: "in" | "out";
        message?: any;
        bytes?: Uint8Array;
    };
};
export type ClientOptions = {
    /**
     * the conversation; one is made up when left out
     */
    sessionId?: string | undefined;
    /**
     * an access token
     */
    token?: string | undefined;
    /**
     * asked before every connection, for a ticket is good once. A JarvisError that it
     * throws is final; any other error counts as a network that will come back
     */
    getTicket?: (() => Promise<string>) | undefined;
    /**
     * instead of a token, with a gateway in DEBUG
     */
    userId?: string | undefined;
    /**
     * what `park()` gave before the page was left: the session goes on, with its open channels
     */
    resume?: Parked | undefined;
    /**
     * consent to a recording, where the gateway makes them: `ready.recording` tells
     */
    record?: boolean | undefined;
    /**
     * another implementation: `ws` for a Node without one (before 22), or for tests
     */
    webSocket?: any;
};
/**
 * A session to go on with in another page: JSON, and secret, as it holds the resume token. Good as long as the gateway waits (`ready.resume_window_ms`).
 */
export type Parked = {
    sessionId: string;
    ready: any;
    resumeToken: string;
    lastSeq: number;
    nextCommand: number;
    nextChannel: number;
    commands: {
        command: any;
        after?: number;
    }[];
    channels: {
        number: number;
        kind: ChannelKind;
        generation: number;
        owed: number;
    }[];
};
/**
 * An EventTarget whose events carry a `detail`; `Events` says which event has which.
 */
export type TellingOf<Events> = new () => Omit<EventTarget, "addEventListener"> & {
    addEventListener<T extends keyof Events>(type: T, listener: (event: CustomEvent<Events[T]>) => void, options?: AddEventListenerOptions): void;
};
export type PlayoutReport = {
    /**
     * of the current utterance
     */
    playedMs: number;
    /**
     * waiting in the jitter buffer
     */
    queuedMs: number;
    /**
     * the depth at which playing begins; grows with each underrun
     */
    targetMs: number;
    /**
     * how often the buffer ran dry inside an utterance
     */
    underruns: number;
    /**
     * thrown away by interruptions
     */
    droppedMs: number;
};
export {};
