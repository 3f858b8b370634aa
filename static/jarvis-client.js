/**
 * A client of the Jarvis gateway: `jarvis.v1` over one WebSocket, for browsers and Node. No dependencies: install the package, or
 * copy this file, `jarvis/codec.js` and `worklets/`.
 *
 * It reconnects and resumes the session: nothing is lost, or comes twice. The protocol: `streaming/protocol/PROTOCOL.md`.
 *
 * @module jarvis-client
 */

import { LAST, LOST, decodeFrame, encodeFrame } from './jarvis/codec.js';

const FIRST_DELAY_MS = 200;
const PROBE_MS = 3_000;
/** The gateway waits 10 s for a token, and then says so. */
const GREETING_MS = 15_000;
const LONGEST_DELAY_MS = 10_000;
/** PROTOCOL section 3. */
const ACK_EVERY_MESSAGES = 32;
const ACK_EVERY_BYTES = 65_536;
const ACK_AFTER_MS = 1_000;
/** Audio that the server may send ahead of playback: six seconds at 22 kHz. */
const SPEAKER_WINDOW_BYTES = 262_144;
/** Microphone audio kept; beyond it the oldest frames are lost. */
const MICROPHONE_KEEP_BYTES = 2_097_152;
/** Until `session.ready`. */
const HEARTBEAT_MS = 20_000;
const RESUME_WINDOW_MS = 60_000;
const SOUND_MS = 3_000;
/** Close codes after which a new attempt would be refused; so are 4500 and above. */
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009]);
/** A ticket is valid for seconds: if refused, another is requested. */
const REFUSED = 4501;
const TOKEN_EXPIRED = 4009;
const ADDRESS = /^wss?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/i;
const SESSION_ID = /^[\w.:-]{1,128}$/;
const TOKEN = /^[\w.-]*$/;
const MOST_REFUSED_TICKETS = 3;
const UNHEARD = { generation: -1, ptsMs: -1, last: 0 };
/** Commands of the socket, not of the session: they have no number and are not sent again. */
const OF_SOCKET = new Set(['session.resume', 'auth', 'auth.refresh', 'ack', 'ping', 'pong']);

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
	constructor(code, message, details = {}) {
		super([message, ...(details?.errors ?? []).map((/** @type {any} */ wrong) => `${wrong.pointer?.slice(2)}: ${wrong.detail}`)].join('; '));
		this.name = 'JarvisError';
		this.code = code;
		this.details = details;
	}
}

/** @param {string} message */
const wrong = (message) => new JarvisError('INVALID_ARGUMENT', message);

const Telling = /** @type {any} */ (EventTarget);

/** Fails with `error` if `work` takes longer. @template T @param {Promise<T>} work @param {number} ms @param {Error} error @returns {Promise<T>} */
function within(work, ms, error) {
	let timer = 0;
	const late = new Promise((_, reject) => { timer = setTimeout(reject, ms, error); });
	return Promise.race([work, /** @type {Promise<never>} */ (late)]).finally(() => clearTimeout(timer));
}

/** 128 bits that nobody can guess, where there is `crypto`. */
function randomId() {
	const words = globalThis.crypto?.getRandomValues(new Uint32Array(4)) ?? new Uint32Array(4).map(() => Math.random() * 2 ** 32);
	return Array.from(words, (word) => word.toString(36)).join('');
}

/** @param {Pick<EventTarget, 'dispatchEvent'>} target @param {string} type @param {any} [detail] */
function tell(target, type, detail) {
	target.dispatchEvent(new CustomEvent(type, { detail }));
}

/**
 * One stream of work. Every message of the channel is an event of its type (`stt.final`, `turn.reply` …) and also a `message`;
 * `audio` carries a frame; `stale` means that audio not played yet must be dropped; `closed` is the last event. `event.detail` is the message.
 */
export class JarvisChannel extends /** @type {TellingOf<ChannelEvents>} */ (Telling) {
	/** @type {JarvisClient} */ #client;
	#nextFrame = 0;
	#credit = 0;
	/** @type {{seq: number, bytes: Uint8Array<ArrayBuffer>, size: number}[]} frames that the server has not taken yet */
	#kept = [];
	#keptBytes = 0;
	#unsent = 0;
	#heardBytes = 0;
	/** Bytes of received audio whose credit was not returned yet. */ #owed = 0;
	#lost = false;
	/** Position of the newest received frame. */ #heard = UNHEARD;
	/** @type {{type: string, frame: number}[]} commands that must not overtake the frames before `frame` */
	#behind = [];

	/** @param {JarvisClient} client @param {number} number @param {ChannelKind} kind */
	constructor(client, number, kind) {
		super();
		this.#client = client;
		/** @readonly */ this.number = number;
		/** @readonly */ this.kind = kind;
		/** Generation of the newest audio; older frames never reach the page. */
		this.generation = 0;
		this.isClosed = false;
		/** @internal of the command that opened it */ this.id = '';
		/** Microphone bytes dropped because there was no credit or no socket in time. */
		this.lostBytes = 0;
		/** @type {Set<string>} what is under way: speech into it, words that no turn has begun for, turns, work that can't move */
		this.underWay = new Set();
	}

	/** Bytes of microphone audio that may be sent now. */
	get credit() {
		return this.#credit;
	}

	/** Bytes of microphone audio, sent or waiting, that the server has not taken yet. */
	get keptBytes() {
		return this.#keptBytes;
	}

	/** Frames that wait for credit or a socket. */
	get waitingFrames() {
		return this.#kept.length - this.#unsent;
	}

	/**
	 * Send a microphone frame. It is kept until the server has taken it.
	 * @param {Uint8Array | ArrayBuffer} payload @param {number} [ptsMs] position in the input
	 */
	sendAudio(payload, ptsMs = 0) {
		if (this.isClosed) return;
		if (!(payload?.byteLength >= 0) || /** @type {any} */ (payload).BYTES_PER_ELEMENT > 1) throw wrong('no Uint8Array or ArrayBuffer');
		const seq = this.#nextFrame;
		const bytes = encodeFrame({ channel: this.number, payload, seq, ptsMs: Math.round(ptsMs), flags: this.#lost ? LOST : 0 });
		this.#nextFrame += 1;
		this.#lost = false;
		this.#kept.push({ seq, bytes, size: payload.byteLength });
		this.#keptBytes += payload.byteLength;
		this.flush();
		if (this.#keptBytes > MICROPHONE_KEEP_BYTES) this.#giveUpOldest();
	}

	/** Send the next piece of text on a `tts` channel. @param {string} text */
	sendText(text) {
		if (typeof text !== 'string') throw wrong(`text: ${text}`);
		this.#say('tts.text', { text });
	}

	/** End the utterance here (push-to-talk). */
	commit() {
		this.#afterFrames('commit');
	}

	/** End the channel's input. */
	end() {
		this.#afterFrames('channel.end');
	}

	/** Cancel the channel's work. */
	cancel() {
		this.#say('channel.cancel');
	}

	/** A closed channel's number may be another's by now. @param {string} type @param {object} [fields] */
	#say(type, fields) {
		if (!this.isClosed) this.#client.send({ type, channel: this.number, ...fields });
	}

	/** @param {string} type */
	#afterFrames(type) {
		if (this.isClosed) return;
		this.#behind.push({ type, frame: this.#nextFrame });
		this.flush();
	}

	/**
	 * Report audio as played or dropped: its credit is returned, and the server learns the utterance's position.
	 * @param {number} bytes @param {number} [playedMs] of the current utterance @param {number} [generation] of that audio
	 */
	played(bytes, playedMs, generation = this.generation) {
		if (!(bytes >= 0 && (playedMs ?? 0) >= 0)) throw wrong(`bytes: ${bytes}, playedMs: ${playedMs}`);
		this.#heardBytes += bytes;
		if (this.#heardBytes * 2 >= SPEAKER_WINDOW_BYTES) {
			this.#say('credit', { bytes: this.#heardBytes });
			this.#owed -= this.#heardBytes;
			this.#heardBytes = 0;
		}
		if (playedMs !== undefined) this.#say('playback', { played_ms: Math.round(playedMs), generation });
	}

	/** @internal @param {number} bytes of received audio */
	came(bytes) {
		this.#owed += bytes;
	}

	/** @internal */
	park() {
		return { number: this.number, kind: this.kind, generation: this.generation, owed: this.#owed, heardMs: this.#heard.ptsMs };
	}

	/** @internal Send what the credit covers. @param {number} [before] only frames below this number */
	flush(before = Infinity) {
		for (;;) {
			this.#release();
			const frame = this.#kept[this.#unsent];
			if (!frame || frame.seq >= before || frame.size > this.#credit || !this.#client.sendBinary(frame.bytes)) return;
			this.#credit -= frame.size;
			this.#unsent += 1;
		}
	}

	/** Send the commands whose frames were sent. */
	#release() {
		const next = this.#kept[this.#unsent]?.seq ?? this.#nextFrame;
		while (this.#behind.length > 0 && this.#behind[0].frame <= next) {
			const [{ type, frame }] = this.#behind.splice(0, 1);
			this.#client.send({ type, channel: this.number }, frame);
		}
	}

	/** Drop the oldest unsent frame. The server may ask for those that were sent. */
	#giveUpOldest() {
		const [gone] = this.#kept.splice(this.#unsent, 1);
		if (!gone) return;
		this.#keptBytes -= gone.size;
		this.lostBytes += gone.size;
		const next = this.#kept[this.#unsent];
		if (next) next.bytes[1] |= LOST;
		else this.#lost = true;
	}

	/** @internal @param {number} bytes @param {number} [nextFrame] frames before this number need not be kept */
	granted(bytes, nextFrame) {
		this.#credit += bytes;
		if (nextFrame !== undefined) this.#forget(nextFrame);
		this.flush();
	}

	/** @param {number} nextFrame */
	#forget(nextFrame) {
		let count = 0;
		while (count < this.#kept.length && this.#kept[count].seq < nextFrame) count += 1;
		for (const frame of this.#kept.splice(0, count)) this.#keptBytes -= frame.size;
		this.#unsent = Math.max(0, this.#unsent - count);
	}

	/** @internal After a resume: the frame that the server expects next. Credit of lost frames is returned. @param {number} nextFrame */
	resumed(nextFrame) {
		this.#forget(nextFrame);
		if (nextFrame !== Infinity) this.#nextFrame = Math.max(this.#nextFrame, nextFrame);
		for (let index = 0; index < this.#unsent; index += 1) this.#credit += this.#kept[index].size;
		this.#unsent = 0;
	}

	/** @internal */
	beginUtterance() {
		this.#heard = UNHEARD;
	}

	/**
	 * True if the frame was received before: speech may overlap after a move to another replica (PROTOCOL.md, section 8).
	 * @internal @param {Frame} frame
	 */
	heardBefore({ generation, ptsMs, flags }) {
		if (this.kind !== 'tts' && this.kind !== 'turn') return false;
		const [heard, last] = [this.#heard, flags & LAST];
		if (generation === heard.generation && (ptsMs < heard.ptsMs || (ptsMs === heard.ptsMs && last <= heard.last))) return true;
		this.#heard = { generation, ptsMs, last };
		return false;
	}

	/** @internal @param {number} generation */
	raise(generation) {
		if (generation <= this.generation) return;
		this.generation = generation;
		tell(this, 'stale', { generation });
	}

	/** @internal Note what is under way: a draining gateway is left in a pause. @param {any} message */
	note({ type, text, turn_id }) {
		if (type === 'stt.speech_started') this.underWay.add('speech');
		else if (type === 'stt.final') {
			this.underWay.delete('speech');
			if (text && this.kind === 'turn') this.underWay.add('words');
		} else if (type === 'turn.intent' || type === 'turn.done') {
			this.underWay.delete('words');
			this.underWay[type === 'turn.done' ? 'delete' : 'add'](`turn ${turn_id}`);
		}
	}

	/** @internal @param {JarvisError} error */
	fail({ code, message }) {
		this.close({ type: 'channel.closed', channel: this.number, status: 'error', code, message });
	}

	/** @internal @param {any} message */
	close(message) {
		this.isClosed = true;
		this.#kept = [];
		this.#behind = [];
		this.#keptBytes = this.#unsent = 0;
		tell(this, 'message', message);
		tell(this, 'closed', message);
	}
}

/**
 * A session with a gateway. Events: `state` (the new state), `ready`, `resumed` (with `took_ms`), `disconnected` (with `retry_in_ms`,
 * null if it does not reconnect), `failed` (a JarvisError), `draining`, `resumable`, `error` (without a channel, and no answer to a call), `wire` (every message and frame, for developers).
 */
export class JarvisClient extends /** @type {TellingOf<ClientEvents>} */ (Telling) {
	#given;
	#url;
	#Socket;
	/** @type {ClientOptions} */ #options;
	/** @type {WebSocket | null} */ #socket = null;
	/** @type {Map<number, JarvisChannel>} */ #channels = new Map();
	/** @type {Map<string, Waiting>} */ #answers = new Map();
	/** @type {Waiting[]} of `connect` */ #entering = [];
	/** @type {JarvisError | null} why nothing can be asked */ #over = new JarvisError('CLOSED', 'the client is not connected: call connect() first');
	/** @type {{command: any, after?: number}[]} */ #commands = [];
	#nextCommand = 1;
	#nextChannel = 1;
	#nextId = 1;
	#idPrefix = randomId().slice(-6);
	#lastSeq = 0;
	#acknowledged = 0;
	#unacknowledgedBytes = 0;
	#ackTimer = 0;
	#resumeToken = '';
	/** Until the server has started or resumed the session on a new socket, nothing may be sent. */
	#held = true;
	#delayMs = FIRST_DELAY_MS;
	/** @type {number | null} */ #askedDelayMs = null;
	#attempt = 0;
	#retryTimer = 0;
	#pulse = 0;
	#lastHeardAt = 0;
	#lostAt = 0;
	/** While there is no session. */ #lossTimer = 0;
	/** Until a draining gateway may be left. */ #leaveTimer = 0;
	#leaving = false;
	#refusedTickets = 0;
	#keepTrying = false;
	/** @type {any} the last error before a close; browsers show little else */ #parting = null;
	#onOnline = () => this.retryNow();

	/**
	 * @param {string} url of the gateway: http://, https://, ws:// or wss://
	 * @param {ClientOptions} [options]
	 */
	constructor(url, options = {}) {
		super();
		this.#given = `${url}`.replace(/\/\/.*@|[?#].*/s, '…'); // without a password or a token
		this.#url = `${url}`.trim().replace(/\/+$/, '').replace(/^http/i, 'ws');
		this.#options = options;
		this.#Socket = options.webSocket ?? globalThis.WebSocket;
		/** @readonly */ this.sessionId = options.resume?.sessionId ?? options.sessionId ?? `web-${randomId()}`;
		/** @type {any} the last session.ready */ this.ready = null;
		/** @type {ClientState} */ this.state = 'idle';
		/** @type {number | null} round trip of the last ping, in milliseconds */ this.rttMs = null;
		try {
			if (options.resume) this.#unpark(options.resume);
		} catch {
			throw wrong('resume: not what park() gave');
		}
	}

	/** With this another page, or a reload, continues the session; null outside one. @returns {Parked | null} */
	park() {
		if (!this.ready || this.#over) return null;
		return {
			sessionId: this.sessionId, ready: this.ready, resumeToken: this.#resumeToken, lastSeq: this.#lastSeq, nextCommand: this.#nextCommand, nextChannel: this.#nextChannel,
			commands: this.#commands, channels: this.channels.map((channel) => channel.park()),
		};
	}

	/** @param {Parked} parked */
	#unpark({ ready, resumeToken, lastSeq, nextCommand, nextChannel, commands, channels }) {
		if (!(resumeToken && lastSeq >= 0 && nextCommand * nextChannel > 0)) throw Error();
		this.ready = ready;
		this.#resumeToken = resumeToken;
		this.#lastSeq = this.#acknowledged = lastSeq;
		this.#nextCommand = nextCommand;
		this.#nextChannel = nextChannel;
		this.#commands = commands.map(({ command }) => ({ command })); // the frames that preceded some of them are lost
		for (const { number, kind, generation, owed, heardMs } of channels) {
			const channel = new JarvisChannel(this, number, kind);
			channel.generation = generation;
			this.#channels.set(number, channel);
			if (owed > 0) this.send({ type: 'credit', channel: number, bytes: owed }); // what the earlier page did not play is never played
			if (heardMs >= 0) channel.played(0, heardMs);
		}
	}

	get connected() {
		return this.#socket?.readyState === 1;
	}

	/** Of the newest message received. */
	get lastSeq() {
		return this.#lastSeq;
	}

	/** Commands that the server has not acknowledged. */
	get pendingCommands() {
		return this.#commands.length;
	}

	/** Open channels. */
	get channels() {
		return [...this.#channels.values()];
	}

	/**
	 * Resolves when the session is ready; rejects with a JarvisError. Its `code` is UNREACHABLE (no answer from the address),
	 * ORIGIN_REFUSED (it answers, but not to this page), REFUSED (it answers, but opens no socket), INVALID_URL, NO_WEBSOCKET, or a code from
	 * the gateway, such as UNAUTHENTICATED. A session that was ready once keeps trying; what waits for it longer than the gateway keeps a
	 * session (a minute) ends with SESSION_LOST.
	 * @param {{keepTrying?: boolean}} [options] `keepTrying`: wait for a gateway that cannot be reached yet
	 * @returns {Promise<SessionReady>} `session.ready`
	 */
	connect({ keepTrying = false } = {}) {
		this.#keepTrying = keepTrying;
		this.#over = null;
		if (this.state === 'online') return Promise.resolve(this.ready);
		globalThis.addEventListener?.('online', this.#onOnline);
		return new Promise((resolve, reject) => {
			this.#entering.push({ resolve, reject });
			if (this.state !== 'connecting') this.#open();
		});
	}

	async #open() {
		clearTimeout(this.#retryTimer);
		this.#become('connecting');
		const attempt = ++this.#attempt;
		const query = new URLSearchParams();
		const protocols = ['jarvis.v1'];
		const fault = this.#fault;
		if (fault) return this.#fail(fault);
		try {
			if (this.#options.getTicket) query.set('ticket', await within(this.#options.getTicket(), GREETING_MS, new Error('getTicket gave none in time')));
			else if (this.#options.token) protocols.push(`jarvis.bearer.${this.#options.token}`);
			else if (this.#options.userId) query.set('user_id', this.#options.userId);
			else query.set('auth', 'none'); // a proxy may add a token
			if (attempt === this.#attempt) this.#dial(query, protocols);
		} catch (error) {
			if (attempt !== this.#attempt) return;
			if (error instanceof JarvisError) this.#fail(error);
			else this.#later({ code: 1006, reason: error instanceof TypeError ? '' : /** @type {Error} */ (error)?.message }); // TypeError: fetch got no answer
		}
	}

	/** @param {URLSearchParams} query @param {string[]} protocols */
	#dial(query, protocols) {
		if (this.#resumeToken) {
			query.set('resume', this.#resumeToken);
			query.set('last_seq', String(this.#lastSeq));
		}
		if (this.#options.record) query.set('record', 'true');
		this.#held = true;
		this.#parting = null;
		const address = `${this.#url}/ws/${encodeURIComponent(this.sessionId)}?${query}`.replace(/\?$/, '');
		const socket = new this.#Socket(address, protocols);
		socket.binaryType = 'arraybuffer';
		socket.onmessage = (/** @type {any} */ { data }) => { if (this.#socket === socket) this.#receive(data); };
		socket.onclose = (/** @type {any} */ event) => this.#closed(socket, event);
		socket.onerror = (/** @type {any} */ { message }) => { // Node tells more than browsers; its own WebSocket may send no `close`
			if (message) this.#parting ??= { message };
			if (socket.readyState !== 2) setTimeout(() => this.#closed(socket), 0);
		};
		this.#socket = socket;
		clearTimeout(this.#pulse);
		this.#pulse = setTimeout(() => { this.#closed(socket); socket.close(); }, GREETING_MS);
	}

	/** What is wrong with the arguments. */
	get #fault() {
		const { token, getTicket } = this.#options;
		if (typeof this.#Socket !== 'function') return new JarvisError('NO_WEBSOCKET', 'this runtime has no WebSocket: npm install ws, and pass { webSocket: WebSocket } of it');
		if (!ADDRESS.test(this.#url) || !URL.canParse(this.#url)) return new JarvisError('INVALID_URL', `"${this.#given}" is no address of a gateway: write http://HOST:PORT or https://HOST, with at most a path behind it`);
		if (!SESSION_ID.test(this.sessionId)) return wrong(`sessionId "${this.sessionId}": 1 to 128 letters, digits, and _ . : -`);
		if (getTicket && typeof getTicket !== 'function') return wrong('getTicket: pass a function');
		return TOKEN.test(token ?? '') ? null : new JarvisError('UNAUTHENTICATED', 'the token has characters that no token has, such as the end of a line');
	}

	/** Why the first connection failed, as far as a page can find out. @param {string} reason if it is known */
	async #giveUp(reason, attempt = this.#attempt) {
		const address = `${this.#url.replace(/^ws/, 'http')}/live`;
		/** @param {RequestMode} mode */
		const answers = (mode) => fetch(address, { mode, cache: 'no-store', signal: AbortSignal.timeout(PROBE_MS) }).then(() => true, () => false);
		let error = new JarvisError('UNREACHABLE', reason || `nobody answers at ${this.#url}: is the gateway running, and is the address right?`);
		if (await answers('cors')) {
			error = new JarvisError('REFUSED', reason || `${this.#url} answers, but opens no WebSocket: ${this.#parting?.message ?? 'is its path right, and does a proxy in between pass it on?'}`);
		} else if (await answers('no-cors')) {
			error = new JarvisError('ORIGIN_REFUSED', `${this.#url} does not take this page: add ${globalThis.location?.origin ?? 'its origin'} to CORS_ORIGINS of the gateway`);
		}
		if (attempt === this.#attempt) this.#fail(error);
	}

	/** @param {ClientState} state */
	#become(state) {
		if (this.state === state) return;
		this.state = state;
		tell(this, 'state', state);
	}

	/** @param {WebSocket} socket @param {{code: number, reason: string}} [event] */
	#closed(socket, event = { code: 1006, reason: '' }) {
		if (this.#socket !== socket) return;
		this.#socket = null;
		this.#held = true;
		this.#leaving = false;
		clearTimeout(this.#leaveTimer);
		clearInterval(this.#pulse);
		if (this.state === 'online') this.#lostAt = Date.now();
		if (this.state === 'closed' || this.state === 'failed') {
			tell(this, 'disconnected', { code: event.code, reason: event.reason, retry_in_ms: null });
		} else if (event.code === REFUSED && this.#options.getTicket && ++this.#refusedTickets < MOST_REFUSED_TICKETS) {
			this.#later(event);
		} else if (FINAL_CODES.has(event.code) || event.code >= 4500 || event.code === TOKEN_EXPIRED && !this.#options.getTicket || this.#isFirst && event.code !== 1006) {
			const { code = String(event.code), message = event.reason || 'the gateway closed the connection' } = this.#parting ?? {};
			this.#fail(new JarvisError(code, message));
		} else {
			this.#later(event);
		}
	}

	/** Whether `connect()` must settle now. */
	get #isFirst() {
		return this.ready === null && !this.#keepTrying;
	}

	/** Reconnect after a delay with full jitter, so that clients return apart. @param {{code: number, reason: string}} event */
	#later({ code, reason }) {
		if (this.#isFirst && code === 1006) return void this.#giveUp(reason);
		this.#lossTimer ||= setInterval(() => this.#lose(), this.ready?.resume_window_ms || RESUME_WINDOW_MS);
		const wait = this.#askedDelayMs ?? Math.round(Math.random() * this.#delayMs);
		this.#askedDelayMs = null;
		this.#delayMs = Math.min(LONGEST_DELAY_MS, this.#delayMs * 2);
		this.#retryTimer = setTimeout(() => this.#open(), wait);
		this.#become('waiting');
		tell(this, 'disconnected', { code, reason: this.#parting?.message ?? reason, retry_in_ms: wait });
	}

	/** Try again now. */
	retryNow() {
		if (this.state === 'waiting') this.#open();
	}

	/** No gateway for longer than it keeps a session: end what waits for it. The client goes on trying. */
	#lose() {
		if (this.#resumeToken) this.cut(0); // or it could still be resumed
		const told = `nobody answers at ${this.#url} any more: what was under way has ended`;
		if (this.#entering.length > 0 && !this.#keepTrying) this.#fail(new JarvisError('UNREACHABLE', told));
		else this.#abandon(new JarvisError('SESSION_LOST', told));
	}

	/** @param {JarvisError} error */
	#fail(error) {
		this.#become('failed');
		this.#finish(error);
		tell(this, 'failed', error);
	}

	/** @param {JarvisError} error */
	#finish(error) {
		globalThis.removeEventListener?.('online', this.#onOnline);
		[this.#retryTimer, this.#ackTimer, this.#pulse].forEach(clearTimeout);
		this.#attempt++;
		this.#over = error;
		this.#entered(({ reject }) => reject(error));
		this.#abandon(error);
	}

	/** @param {(waiting: Waiting) => void} how */
	#entered(how) {
		clearInterval(this.#lossTimer);
		this.#lossTimer = 0;
		this.#entering.splice(0).forEach(how);
	}

	/** End the session. */
	close() {
		this.#become('closed');
		this.#finish(new JarvisError('CLOSED', 'the session was closed'));
		this.#socket?.close(1000);
	}

	/** Drop the socket as a bad network would; the client reconnects and resumes. @param {number} [awayMs] */
	cut(awayMs) {
		const socket = this.#socket;
		if (!socket) return;
		this.#askedDelayMs = awayMs ?? null;
		socket.close(4000);
		this.#closed(socket, { code: 4000, reason: 'cut' });
	}

	/** Run an operation by name (`agent.intent`, `memory.store` …). @param {string} op @param {object} [params] @returns {Promise<any>} */
	call(op, params = {}) {
		return this.#ask({ type: 'call', op, params });
	}

	/**
	 * Approve or decline a risky action. With the question's `action_hash` nothing but what it names is approved.
	 * @param {string} confirmationId @param {boolean} approve @param {string} [actionHash] @returns {Promise<any>}
	 */
	confirm(confirmationId, approve, actionHash) {
		return this.#ask({ type: 'task.confirm', confirmation_id: confirmationId, approve, ...(actionHash && { action_hash: actionHash }) });
	}

	/** Send a newer token of the same user before the old one expires (`auth.expiring`). @param {string} token */
	refreshAuth(token) {
		this.send({ type: 'auth.refresh', token });
	}

	#newId() {
		return `${this.#idPrefix}${this.#nextId++}`;
	}

	/** @param {Command} command @returns {Promise<any>} */
	#ask(command) {
		const id = this.#newId();
		return new Promise((resolve, reject) => {
			if (this.#over) throw this.#over;
			this.send({ ...command, id });
			this.#answers.set(id, { resolve, reject });
		});
	}

	/**
	 * Open a channel. Its `closed` comes in any case: where no session is left, at once.
	 * @template {ChannelKind} K
	 * @param {K} kind @param {ParamsOf[K]} [params] @returns {JarvisChannel}
	 */
	open(kind, params) {
		const channel = new JarvisChannel(this, this.#nextChannel, kind);
		const over = this.#over;
		if (over) {
			queueMicrotask(() => channel.fail(over));
			return channel;
		}
		channel.id = this.#newId();
		this.send({ type: 'channel.open', id: channel.id, channel: channel.number, kind, params: params ?? {}, credit: SPEAKER_WINDOW_BYTES });
		this.#nextChannel += 2;
		this.#channels.set(channel.number, channel);
		if (kind === 'execute' || kind === 'tts' || (params && 'text' in params && params.text !== undefined)) channel.underWay.add('work');
		return channel;
	}

	/**
	 * Send any command. It is numbered, and kept until the server acknowledges it.
	 * @param {Command} command @param {number} [after] its channel's frames before this number are sent first
	 */
	send(command, after) {
		if (OF_SOCKET.has(command.type)) {
			if (this.connected && (!this.#held || command.type === 'pong')) this.#write(command);
			return;
		}
		const numbered = { ...command, seq: this.#nextCommand };
		let text; // if there is none, the number is not used up
		try { text = JSON.stringify(numbered); } catch (error) { throw wrong(`${error}`); }
		this.#nextCommand++;
		this.#commands.push({ command: numbered, after });
		if (this.connected && !this.#held) this.#write(numbered, text);
	}

	/** @param {Command} message */
	#write(message, text = JSON.stringify(message)) {
		this.#socket?.send(text);
		tell(this, 'wire', { direction: 'out', message });
	}

	/** @internal @param {Uint8Array<ArrayBuffer>} bytes @returns {boolean} whether it was sent */
	sendBinary(bytes) {
		if (!this.connected || this.#held) return false;
		this.#socket?.send(bytes);
		tell(this, 'wire', { direction: 'out', bytes });
		return true;
	}

	/** @param {string | ArrayBuffer} data */
	#receive(data) {
		this.#lastHeardAt = Date.now();
		if (typeof data === 'string') {
			const message = this.#read(() => JSON.parse(data));
			if (!message) return;
			tell(this, 'wire', { direction: 'in', message });
			this.#onMessage(message, data.length);
		} else {
			const bytes = new Uint8Array(data);
			tell(this, 'wire', { direction: 'in', bytes });
			const frame = this.#read(() => decodeFrame(bytes));
			if (frame) this.#onFrame(frame, bytes.byteLength);
		}
	}

	/** What the server sent; null, and it is left, if that is no jarvis.v1. @template T @param {() => T} decode */
	#read(decode) {
		try {
			return decode();
		} catch (error) {
			const socket = /** @type {WebSocket} */ (this.#socket);
			this.#closed(socket, { code: 1002, reason: `${this.#url} does not speak jarvis.v1: ${/** @type {Error} */ (error).message}` });
			socket.close();
			return null;
		}
	}

	/** Take a number of the sequence; false if it was received before. @param {number} seq @param {number} size */
	#take(seq, size) {
		if (seq <= this.#lastSeq) return false;
		this.#lastSeq = seq;
		this.#unacknowledgedBytes += size;
		if (seq - this.#acknowledged >= ACK_EVERY_MESSAGES || this.#unacknowledgedBytes >= ACK_EVERY_BYTES) this.#acknowledge();
		else if (!this.#ackTimer) this.#ackTimer = setTimeout(() => this.#acknowledge(), ACK_AFTER_MS);
		return true;
	}

	#acknowledge() {
		clearTimeout(this.#ackTimer);
		this.#ackTimer = 0;
		this.#acknowledged = this.#lastSeq;
		this.#unacknowledgedBytes = 0;
		this.send({ type: 'ack', seq: this.#lastSeq });
	}

	/** @param {Frame} frame @param {number} size */
	#onFrame(frame, size) {
		if (!this.#take(frame.seq, size)) return;
		const channel = this.#channels.get(frame.channel);
		if (!channel) return;
		channel.came(frame.payload.byteLength);
		if (frame.generation < channel.generation) return channel.played(frame.payload.byteLength);
		if (channel.heardBefore(frame)) return;
		channel.raise(frame.generation);
		tell(channel, 'audio', frame);
	}

	/** @param {any} message @param {number} size */
	#onMessage(message, size) {
		switch (message.type) {
			case 'session.ready': this.#onReady(message); return;
			case 'session.resumed': this.#onResumed(message); return;
			case 'ack': this.#commands = this.#commands.filter(({ command }) => command.seq > message.seq); return;
			case 'ping': this.send({ type: 'pong', t: message.t }); return;
			case 'pong': this.rttMs = performance.now() - message.t; tell(this, 'pong', message); return;
			case 'session.resumable':
				this.#resumeToken = message.resume_token;
				tell(this, 'resumable', message);
				return;
			case 'session.draining': this.#onDraining(message); return;
			default:
		}
		if (typeof message.seq === 'number' && !this.#take(message.seq, size)) return;
		if (message.type === 'result') this.#settle(message.id, (waiting) => waiting.resolve(message.data));
		else if (this.#channels.has(message.channel)) this.#toChannel(message);
		else this.#toSession(message);
		this.#leaveInPause();
	}

	/** @param {SessionDraining} message */
	#onDraining(message) {
		this.#askedDelayMs = message.reconnect_after_ms; // for a gateway that closes before
		clearTimeout(this.#leaveTimer);
		this.#leaveTimer = setTimeout(() => { this.#leaving = true; this.#leaveInPause(); }, message.reconnect_after_ms);
		tell(this, 'draining', message);
	}

	/** Leave a draining gateway in a pause; at last it closes the socket itself. */
	#leaveInPause() {
		if (this.#leaving && this.#answers.size === 0 && this.channels.every((channel) => channel.underWay.size === 0)) this.cut(0);
	}

	/** @param {any} message */
	#onReady(message) {
		if (this.#resumeToken) this.#abandon(new JarvisError('SESSION_LOST', 'the session could not be resumed; what was under way has ended'));
		this.ready = message;
		this.#resumeToken = message.resume_token;
		this.#lastSeq = this.#acknowledged = 0;
		this.#begin();
		tell(this, 'ready', message);
	}

	/** @param {any} message */
	#onResumed(message) {
		this.#commands = this.#commands.filter(({ command }) => command.seq > message.taken_seq);
		for (const channel of this.channels) channel.resumed(message.channels[channel.number] ?? Infinity);
		this.#begin();
		tell(this, 'resumed', { ...message, took_ms: this.#lostAt ? Date.now() - this.#lostAt : 0 });
	}

	/** The session continues on this socket: send what waits. */
	#begin() {
		this.#held = false;
		this.#delayMs = FIRST_DELAY_MS;
		this.#refusedTickets = 0;
		this.#entered(({ resolve }) => resolve(this.ready));
		this.#sendAgain();
		const heartbeat = this.ready?.heartbeat_ms ?? HEARTBEAT_MS;
		clearInterval(this.#pulse);
		this.#pulse = setInterval(() => this.#beat(heartbeat), heartbeat / 4);
		this.ping();
		this.#become('online');
	}

	/** In the original order. */
	#sendAgain() {
		for (const { command, after } of [...this.#commands]) {
			if (after !== undefined) this.#channels.get(command.channel)?.flush(after);
			this.#write(command);
		}
		for (const channel of this.channels) channel.flush();
	}

	/** A dead network is silent: browsers show no pings. @param {number} heartbeat in ms */
	#beat(heartbeat) {
		const silent = Date.now() - this.#lastHeardAt;
		if (silent >= 2 * heartbeat) this.cut();
		else if (silent >= heartbeat) this.ping();
	}

	/** Measure the round trip; `rttMs` is set by the `pong`. */
	ping() {
		this.send({ type: 'ping', t: performance.now() });
	}

	/** Reject calls and close channels; those opened meanwhile are of the next session. @param {JarvisError} error */
	#abandon(error) {
		const channels = this.channels;
		const answers = [...this.#answers.values()];
		this.#channels.clear();
		this.#answers.clear();
		this.#commands = [];
		this.#resumeToken = '';
		this.#nextCommand = this.#nextChannel = 1;
		for (const channel of channels) channel.fail(error);
		for (const { reject } of answers) reject(error);
	}

	/** False if nobody waits for it. @param {string} id @param {(waiting: Waiting) => void} how */
	#settle(id, how) {
		const waiting = this.#answers.get(id);
		if (waiting) how(waiting);
		return this.#answers.delete(id);
	}

	/** @param {any} message */
	#toSession(message) {
		if (message.type === 'error') {
			this.#parting = message;
			const error = new JarvisError(message.code, message.message, message.details);
			if (this.#settle(message.id, ({ reject }) => reject(error))) return;
			const refused = this.channels.find(({ id }) => id && id === message.id);
			if (refused) {
				this.#channels.delete(refused.number);
				refused.fail(error);
			}
		}
		tell(this, message.type, message);
	}

	/** @param {any} message */
	#toChannel(message) {
		const channel = /** @type {JarvisChannel} */ (this.#channels.get(message.channel));
		if (message.type === 'channel.closed') {
			this.#channels.delete(channel.number);
			return channel.close(message);
		}
		if (message.type === 'tts.started') channel.beginUtterance();
		if (message.type === 'channel.opened') channel.granted(message.credit);
		else if (message.type === 'credit') channel.granted(message.bytes, message.next_frame);
		if (typeof message.generation === 'number') channel.raise(message.generation);
		channel.note(message);
		tell(channel, message.type, message);
		tell(channel, 'message', message);
	}
}

/** In this form bundlers find the files. */
const CAPTURE = () => new URL('./worklets/capture.js', import.meta.url).href;
const PLAYOUT = () => new URL('./worklets/playout.js', import.meta.url).href;

/**
 * The microphone as 16-bit mono PCM, 20 ms per frame, at the device's rate (the gateway resamples once). Needs a page on https or
 * localhost. Events: `frame` with `{pcm: Uint8Array, ptsMs, level}` (level: the loudest sample, 0 to 1) and, for a recording, `ended`.
 */
export class Microphone extends /** @type {TellingOf<Record<string, any>>} */ (Telling) {
	/** @type {JarvisChannel | null} */ #channel = null;
	/** @type {MediaStream | undefined} */ #stream;
	/** @type {AudioContext | undefined} */ #context;
	#ptsMs = 0;

	/** @param {{deviceId?: string, sampleRate?: number, worklet?: string}} [options] `sampleRate` instead of the device's own */
	constructor(options = {}) {
		super();
		this.options = options;
		/** If true, frames are still reported but not sent; for push-to-talk. */
		this.isMuted = false;
		/** From the last frame's completion until it was sent or waited for credit, in ms. */
		this.delayMs = 0;
	}

	/** The frames' rate in Hz; known after `start`. */
	get sampleRate() {
		return this.#context?.sampleRate ?? 0;
	}

	/** Ask for the device and start. @param {MediaStream | AudioBuffer} [input] used instead of a microphone; silence follows a recording */
	async start(input) {
		const recorded = typeof AudioBuffer !== 'undefined' && input instanceof AudioBuffer;
		if (!recorded) this.#stream = /** @type {MediaStream | undefined} */ (input) ?? await this.#ask();
		this.#context = this.#makeContext();
		await this.#context.audioWorklet.addModule(this.options.worklet ?? CAPTURE());
		const node = new AudioWorkletNode(this.#context, 'jarvis-capture', { numberOfInputs: 1, channelCount: 1, channelCountMode: 'explicit' });
		node.port.onmessage = ({ data }) => this.#onFrame(data);
		node.connect(this.#context.destination); // silent; some browsers run no others
		const source = recorded ? this.#recording(/** @type {AudioBuffer} */ (input)) : this.#context.createMediaStreamSource(/** @type {MediaStream} */ (this.#stream));
		source.connect(node);
		await this.#context.resume();
	}

	#ask() {
		const { deviceId } = this.options;
		const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
		return navigator.mediaDevices.getUserMedia({ audio: deviceId ? { ...audio, deviceId: { exact: deviceId } } : audio });
	}

	#makeContext() {
		const context = new AudioContext({ sampleRate: this.options.sampleRate, latencyHint: 'interactive' });
		if (context.sampleRate <= 48_000) return context;
		context.close();
		return new AudioContext({ sampleRate: 48_000, latencyHint: 'interactive' }); // more than the gateway accepts
	}

	/** @param {AudioBuffer} buffer */
	#recording(buffer) {
		const context = /** @type {AudioContext} */ (this.#context);
		const source = new AudioBufferSourceNode(context, { buffer });
		source.onended = () => tell(this, 'ended');
		source.start();
		return source;
	}

	/** @param {{pcm: ArrayBuffer, level: number, at: number}} data */
	#onFrame({ pcm, level, at }) {
		const ptsMs = this.#ptsMs;
		const frame = { pcm: new Uint8Array(pcm), ptsMs, level };
		if (this.#channel && !this.isMuted) {
			this.#ptsMs += (pcm.byteLength * 500) / this.sampleRate;
			this.#channel.sendAudio(frame.pcm, ptsMs);
			this.delayMs = Math.max(0, Date.now() - at);
		}
		tell(this, 'frame', frame);
	}

	/** Send all further frames to that channel; null: send none. @param {JarvisChannel | null} channel */
	sendTo(channel) {
		this.#ptsMs = 0;
		this.#channel = channel;
	}

	/** Release the device. */
	async stop() {
		this.#channel = null;
		this.#stream?.getTracks().forEach((track) => track.stop());
		const context = this.#context;
		this.#context = this.#stream = undefined;
		await context?.close();
	}
}

/**
 * The loudspeaker: plays the speech of channels, each through its own jitter buffer, and reports to the server what was really played.
 */
export class Speaker {
	/** @type {AudioContext | null} */ context = null;
	/** @type {GainNode | null} all sound goes through it; for volume control or an analyser */ output = null;

	/** @param {{worklet?: string}} [options] */
	constructor(options = {}) {
		this.options = options;
	}

	/** Browsers require a click or key press before it; without, it fails with NO_SOUND. May be called again. */
	async start() {
		if (!this.context) {
			this.context = new AudioContext({ latencyHint: 'interactive' });
			this.output = this.context.createGain();
			this.output.connect(this.context.destination);
			this.loaded = this.context.audioWorklet.addModule(this.options.worklet ?? PLAYOUT());
		}
		await this.loaded?.catch((error) => this.stop().then(() => { throw error; }));
		await within(this.context.resume(), SOUND_MS, new JarvisError('NO_SOUND', 'sound stays off until a click or key press: call start() behind one'));
	}

	/** Play the channel's speech. @param {JarvisChannel} channel @returns {Playout} */
	play(channel) {
		if (!this.context || !this.output) throw new Error('call start() first, behind a click or key press');
		return new Playout(channel, this.context, this.output);
	}

	async stop() {
		const { context } = this;
		this.context = this.output = null;
		await context?.close();
	}
}

/** Plays one channel's speech. Events: `report` (a PlayoutReport), `sounding` (the first sample of an utterance), `silent`, `underrun`. */
export class Playout extends /** @type {TellingOf<Record<string, any>>} */ (Telling) {
	#channel;
	#node;

	/** @internal @param {JarvisChannel} channel @param {AudioContext} context @param {AudioNode} output */
	constructor(channel, context, output) {
		super();
		this.#channel = channel;
		this.#node = new AudioWorkletNode(context, 'jarvis-playout', { numberOfInputs: 0, outputChannelCount: [1] });
		this.#node.port.onmessage = ({ data }) => this.#onMessage(data);
		this.#node.connect(output);
		/** @param {keyof ChannelEvents} type @param {(detail: any) => void} act */
		const on = (type, act) => channel.addEventListener(type, (event) => act(/** @type {CustomEvent} */ (event).detail));
		on('tts.started', (message) => this.#post({ type: 'begin', rate: message.sample_rate, generation: message.generation }));
		on('audio', (frame) => this.#onFrame(frame));
		on('tts.done', () => this.#post({ type: 'finish' }));
		on('stale', () => this.flush());
		on('closed', (message) => this.#onClosed(message));
	}

	/** @param {object} message @param {Transferable[]} [transfer] */
	#post(message, transfer = []) {
		this.#node.port.postMessage(message, transfer);
	}

	/** @param {Frame} frame */
	#onFrame(frame) {
		const pcm = frame.payload.slice().buffer;
		this.#post({ type: 'frame', pcm, ptsMs: frame.ptsMs }, [pcm]);
	}

	/** @param {any} data */
	#onMessage({ type, ...report }) {
		if (type === 'report') {
			const { bytes, generation, ...rest } = report;
			this.#channel.played(bytes, report.moved ? report.playedMs : undefined, generation);
			tell(this, 'report', rest);
		} else if (type === 'gone') {
			this.#node.disconnect();
			tell(this, 'silent', {});
		} else {
			tell(this, type, report);
		}
	}

	/** @param {any} message */
	#onClosed(message) {
		if (message.status !== 'ok') this.flush();
		this.#post({ type: 'leave' });
	}

	/** Stop at once and drop the buffered audio. */
	flush() {
		this.#post({ type: 'flush' });
	}
}
