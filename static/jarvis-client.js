/**
 * A client of the Jarvis gateway: `jarvis.v1` over one WebSocket. No dependencies; copy this file and `jarvis/codec.js`.
 *
 *     const client = new JarvisClient('ws://127.0.0.1:8000', { token });
 *     await client.connect();
 *     const turn = client.open('turn', { text: 'what time is it', reply: 'text' });
 *     turn.addEventListener('turn.reply', (event) => console.log(event.detail.text));
 *
 * The client reconnects by itself (full jitter) and resumes: commands the server has not acknowledged and microphone frames it
 * has not taken are sent again, and what was missed comes again, in order, once.
 *
 * @module jarvis-client
 */

import { decodeFrame, encodeFrame } from './jarvis/codec.js';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
const ACK_EVERY_MESSAGES = 32;
const ACK_AFTER_MS = 1_000;
const SPEAKER_WINDOW_BYTES = 262_144;
/** Close codes after which the same client would only be refused again. */
const FINAL_CODES = new Set([1000, 1002, 1003, 1007, 1008, 1009]);
/** Commands of the socket, not of the session: neither numbered nor sent again. */
const OF_SOCKET = new Set(['session.resume', 'auth', 'auth.refresh', 'ack', 'ping', 'pong']);

/** The gateway refused a command, or the connection for good. */
export class JarvisError extends Error {
  /** @param {string} code UPPER_SNAKE, from the protocol @param {string} message for people */
  constructor(code, message) {
    super(message);
    this.name = 'JarvisError';
    this.code = code;
  }
}

/**
 * One stream of work. Every message of the channel is an event of its type (`stt.final`, `turn.reply` …), `audio` carries a frame,
 * `closed` is the last. `event.detail` is the message.
 */
export class JarvisChannel extends EventTarget {
  #client;
  #nextFrame = 0;
  #credit = 0;
  /** @type {{seq: number, bytes: Uint8Array, size: number}[]} frames that the server has not taken */
  #kept = [];
  #unsent = 0;
  #heardBytes = 0;

  /** @param {JarvisClient} client @param {number} number @param {string} kind */
  constructor(client, number, kind) {
    super();
    this.#client = client;
    /** @readonly */ this.number = number;
    /** @readonly */ this.kind = kind;
    this.generation = 0;
    this.isClosed = false;
  }

  /** Bytes of microphone audio that may be sent before waiting. */
  get credit() {
    return this.#credit;
  }

  /**
   * Send a microphone frame; it is kept until the server has taken it.
   * @param {Uint8Array | ArrayBuffer} payload @param {number} [ptsMs] position in the input
   */
  sendAudio(payload, ptsMs = 0) {
    if (this.isClosed) return;
    const seq = this.#nextFrame++;
    const bytes = encodeFrame({ channel: this.number, payload, seq, ptsMs });
    this.#kept.push({ seq, bytes, size: payload.byteLength });
    this.flush();
  }

  /** The next piece of text of a `tts` channel. @param {string} text */
  sendText(text) {
    this.#client.send({ type: 'tts.text', channel: this.number, text });
  }

  /** The utterance ends here (push-to-talk). */
  commit() {
    this.#client.send({ type: 'commit', channel: this.number });
  }

  /** No more input. */
  end() {
    this.#client.send({ type: 'channel.end', channel: this.number });
  }

  /** Stop now. */
  cancel() {
    this.#client.send({ type: 'channel.cancel', channel: this.number });
  }

  /**
   * A frame was played or thrown away: its credit goes back, and the server learns how far the utterance is.
   * @param {number} bytes @param {number} [playedMs]
   */
  played(bytes, playedMs) {
    this.#heardBytes += bytes;
    if (this.#heardBytes * 2 >= SPEAKER_WINDOW_BYTES) {
      this.#client.send({ type: 'credit', channel: this.number, bytes: this.#heardBytes });
      this.#heardBytes = 0;
    }
    if (playedMs !== undefined) {
      this.#client.send({
        type: 'playback', channel: this.number, played_ms: Math.round(playedMs), generation: this.generation,
      });
    }
  }

  /** @internal Send what credit covers. */
  flush() {
    while (this.#unsent < this.#kept.length && this.#kept[this.#unsent].size <= this.#credit) {
      const frame = this.#kept[this.#unsent];
      if (!this.#client.sendBinary(frame.bytes)) return;
      this.#credit -= frame.size;
      this.#unsent += 1;
    }
  }

  /** @internal @param {number} bytes @param {number} [nextFrame] frames before this number need not be kept */
  granted(bytes, nextFrame) {
    this.#credit += bytes;
    if (nextFrame !== undefined) this.#forget(nextFrame);
    this.flush();
  }

  #forget(nextFrame) {
    const taken = this.#kept.findIndex((frame) => frame.seq >= nextFrame);
    const count = taken < 0 ? this.#kept.length : taken;
    this.#kept.splice(0, count);
    this.#unsent = Math.max(0, this.#unsent - count);
  }

  /** @internal After a resume the server expects this frame next; credit spent on lost frames comes back. */
  resumed(nextFrame) {
    this.#forget(nextFrame);
    for (let index = 0; index < this.#unsent; index += 1) this.#credit += this.#kept[index].size;
    this.#unsent = 0;
    this.flush();
  }

  /** @internal @param {string} type @param {object} detail */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
    this.dispatchEvent(new CustomEvent('message', { detail: { type, ...detail } }));
  }
}

/**
 * A session with a gateway. Events: `ready`, `resumed`, `disconnected`, `failed`, `wire` (every message and frame, for developers).
 */
export class JarvisClient extends EventTarget {
  #url;
  #options;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<number, JarvisChannel>} */ #channels = new Map();
  /** @type {Map<string, {resolve: Function, reject: Function}>} */ #answers = new Map();
  /** @type {{seq: number, text: string}[]} */ #commands = [];
  #nextCommand = 1;
  #nextChannel = 1;
  #nextId = 1;
  #idPrefix = Math.random().toString(36).slice(2, 8);
  #lastSeq = 0;
  #acknowledged = 0;
  #ackTimer = 0;
  #resumeToken = '';
  #resuming = false;
  #delayMs = FIRST_DELAY_MS;
  #done = false;

  /**
   * @param {string} url of the gateway, ws:// or wss://
   * @param {{sessionId?: string, token?: string, userId?: string, getTicket?: () => Promise<string>}} [options]
   *   `getTicket` is asked before every connection: a ticket is good once. `userId` works with a gateway in DEBUG only.
   */
  constructor(url, options = {}) {
    super();
    this.#url = url.replace(/\/$/, '');
    this.#options = options;
    this.sessionId = options.sessionId ?? `web-${this.#idPrefix}${Date.now().toString(36)}`;
    /** @type {object | null} the last session.ready */ this.ready = null;
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** The number of the newest message received. */
  get lastSeq() {
    return this.#lastSeq;
  }

  /** Open channels. */
  get channels() {
    return [...this.#channels.values()];
  }

  /** Resolves when the session is ready; rejects with a JarvisError when the gateway refuses. @returns {Promise<object>} */
  connect() {
    return new Promise((resolve, reject) => {
      const off = new AbortController();
      this.addEventListener('ready', (event) => { off.abort(); resolve(event.detail); }, { signal: off.signal });
      this.addEventListener('failed', (event) => { off.abort(); reject(event.detail); }, { signal: off.signal });
      this.#open();
    });
  }

  async #open() {
    const query = new URLSearchParams();
    const protocols = ['jarvis.v1'];
    try {
      if (this.#options.getTicket) query.set('ticket', await this.#options.getTicket());
      else if (this.#options.token) protocols.push(`jarvis.bearer.${this.#options.token}`);
      else if (this.#options.userId) query.set('user_id', this.#options.userId);
    } catch (error) {
      this.#fail(error instanceof JarvisError ? error : new JarvisError('UNAUTHENTICATED', String(error)));
      return;
    }
    this.#resuming = this.#resumeToken !== '';
    if (this.#resuming) {
      query.set('resume', this.#resumeToken);
      query.set('last_seq', String(this.#lastSeq));
    }
    const socket = new WebSocket(`${this.#url}/ws/${encodeURIComponent(this.sessionId)}?${query}`, protocols);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(socket, event);
    this.#socket = socket;
  }

  #closed(socket, event) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.dispatchEvent(new CustomEvent('disconnected', { detail: { code: event.code, reason: event.reason } }));
    if (this.#done) return;
    if (FINAL_CODES.has(event.code) || event.code >= 4500 || (event.code === 1006 && this.ready === null)) {
      this.#fail(new JarvisError(String(event.code), event.reason || 'the gateway cannot be reached'));
      return;
    }
    const wait = Math.random() * this.#delayMs;
    this.#delayMs = Math.min(LONGEST_DELAY_MS, this.#delayMs * 2);
    setTimeout(() => this.#open(), wait);
  }

  #fail(error) {
    this.#done = true;
    for (const { reject } of this.#answers.values()) reject(error);
    this.#answers.clear();
    this.dispatchEvent(new CustomEvent('failed', { detail: error }));
  }

  /** Say goodbye: the session ends. */
  close() {
    this.#done = true;
    this.#socket?.close(1000);
  }

  /** Drop the socket as a bad network would; the client comes back and resumes. */
  cut() {
    this.#socket?.close(4000);
  }

  /** One operation by name. @param {string} op @param {object} [params] @returns {Promise<any>} */
  call(op, params = {}) {
    return this.#ask({ type: 'call', op, params });
  }

  /** Answer a question about a risky action. @param {string} confirmationId @param {boolean} approve */
  confirm(confirmationId, approve) {
    return this.#ask({ type: 'task.confirm', confirmation_id: confirmationId, approve });
  }

  #ask(command) {
    const id = `${this.#idPrefix}${this.#nextId++}`;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      this.send({ ...command, id });
    });
  }

  /** Open a channel. @param {'stt' | 'tts' | 'execute' | 'turn' | 'observe'} kind @param {object} [params] @returns {JarvisChannel} */
  open(kind, params = {}) {
    const channel = new JarvisChannel(this, this.#nextChannel, kind);
    this.#nextChannel += 2;
    this.#channels.set(channel.number, channel);
    this.send({ type: 'channel.open', channel: channel.number, kind, params, credit: SPEAKER_WINDOW_BYTES });
    return channel;
  }

  /** Send a command; it is numbered and kept until acknowledged. @param {object} command */
  send(command) {
    if (OF_SOCKET.has(command.type)) {
      this.#write(JSON.stringify(command));
      return;
    }
    const seq = this.#nextCommand++;
    const text = JSON.stringify({ ...command, seq });
    this.#commands.push({ seq, text });
    if (this.ready) this.#write(text);
  }

  #write(text) {
    if (!this.connected || (this.#resuming && !text.includes('"pong"'))) return;
    this.#socket.send(text);
    this.#show('out', JSON.parse(text));
  }

  /** @internal @param {Uint8Array} bytes @returns {boolean} whether it left */
  sendBinary(bytes) {
    if (!this.connected || this.#resuming || !this.ready) return false;
    this.#socket.send(bytes);
    this.#show('out', null, bytes);
    return true;
  }

  #show(direction, message, bytes) {
    this.dispatchEvent(new CustomEvent('wire', { detail: { direction, message, bytes, at: performance.now() } }));
  }

  #receive(data) {
    if (typeof data === 'string') {
      const message = JSON.parse(data);
      this.#show('in', message);
      this.#onMessage(message);
    } else {
      const bytes = new Uint8Array(data);
      this.#show('in', null, bytes);
      this.#onFrame(decodeFrame(bytes));
    }
  }

  /** Take a number of the session's sequence; false when it came before. */
  #take(seq) {
    if (seq <= this.#lastSeq) return false;
    this.#lastSeq = seq;
    if (seq - this.#acknowledged >= ACK_EVERY_MESSAGES) this.#acknowledge();
    else if (!this.#ackTimer) this.#ackTimer = setTimeout(() => this.#acknowledge(), ACK_AFTER_MS);
    return true;
  }

  #acknowledge() {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = 0;
    this.#acknowledged = this.#lastSeq;
    this.send({ type: 'ack', seq: this.#lastSeq });
  }

  #onFrame(frame) {
    if (!this.#take(frame.seq)) return;
    const channel = this.#channels.get(frame.channel);
    if (!channel) return;
    if (frame.generation < channel.generation) {
      channel.played(frame.payload.byteLength);
      return;
    }
    channel.generation = frame.generation;
    channel.tell('audio', frame);
  }

  #onMessage(message) {
    const ofSocket = { 'session.ready': 1, 'session.resumed': 1, ack: 1, ping: 1, pong: 1 }[message.type];
    if (!ofSocket && typeof message.seq === 'number' && !this.#take(message.seq)) return;
    switch (message.type) {
      case 'session.ready': this.#onReady(message); return;
      case 'session.resumed': this.#onResumed(message); return;
      case 'ack': this.#commands = this.#commands.filter((command) => command.seq > message.seq); return;
      case 'ping': this.send({ type: 'pong', t: message.t }); return;
      case 'result': this.#settle(message.id, 'resolve', message.data); return;
      default: this.#toChannel(message);
    }
  }

  #onReady(message) {
    const first = this.ready === null;
    this.ready = message;
    this.#resumeToken = message.resume_token;
    this.#resuming = false;
    this.#delayMs = FIRST_DELAY_MS;
    this.#lastSeq = this.#acknowledged = 0;
    if (!first) this.#lose();
    const waiting = this.#commands.map((command) => command.text);
    waiting.forEach((text) => this.#write(text));
    this.dispatchEvent(new CustomEvent('ready', { detail: message }));
  }

  /** The old state of the session is gone, and everything in it. */
  #lose() {
    const error = new JarvisError('SESSION_LOST', 'the session could not be resumed');
    for (const channel of this.#channels.values()) {
      channel.isClosed = true;
      channel.tell('closed', { status: 'error', code: error.code, message: error.message });
    }
    this.#channels.clear();
    for (const { reject } of this.#answers.values()) reject(error);
    this.#answers.clear();
    this.#commands = [];
    this.#nextCommand = this.#nextChannel = 1;
  }

  #onResumed(message) {
    this.#resuming = false;
    this.#delayMs = FIRST_DELAY_MS;
    this.#commands = this.#commands.filter((command) => command.seq > message.taken_seq);
    this.#commands.forEach((command) => this.#write(command.text));
    for (const [number, nextFrame] of Object.entries(message.channels)) this.#channels.get(Number(number))?.resumed(nextFrame);
    this.dispatchEvent(new CustomEvent('resumed', { detail: message }));
  }

  #settle(id, how, value) {
    const waiting = this.#answers.get(id);
    if (!waiting) return;
    this.#answers.delete(id);
    waiting[how](value);
  }

  #toChannel(message) {
    if (message.type === 'error' && message.channel === undefined) {
      this.#settle(message.id, 'reject', new JarvisError(message.code, message.message));
      this.dispatchEvent(new CustomEvent('error', { detail: message }));
      return;
    }
    const channel = this.#channels.get(message.channel);
    if (!channel) {
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
      return;
    }
    if (message.type === 'channel.opened') channel.granted(message.credit);
    else if (message.type === 'credit') channel.granted(message.bytes, message.next_frame);
    if (typeof message.generation === 'number') channel.generation = Math.max(channel.generation, message.generation);
    channel.tell(message.type === 'channel.closed' ? 'closed' : message.type, message);
    if (message.type === 'channel.closed') {
      channel.isClosed = true;
      this.#channels.delete(channel.number);
    }
  }
}

/**
 * The microphone as 16-bit mono PCM at 16 kHz, 20 ms a piece. Needs a page on https or localhost.
 */
export class Microphone {
  /** @param {(pcm: ArrayBuffer, level: number) => void} onFrame @param {string} [worklet] address of worklets/capture.js */
  constructor(onFrame, worklet = new URL('./worklets/capture.js', import.meta.url).href) {
    this.onFrame = onFrame;
    this.worklet = worklet;
  }

  /** Ask for the device and begin. @param {MediaStream} [stream] something else than the default microphone */
  async start(stream) {
    this.stream = stream ?? await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    this.context = new AudioContext({ sampleRate: 16_000 });
    await this.context.audioWorklet.addModule(this.worklet);
    this.node = new AudioWorkletNode(this.context, 'jarvis-capture');
    this.node.port.onmessage = ({ data }) => this.onFrame(data.pcm, data.level);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
  }

  /** Let go of the device. */
  async stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.node?.disconnect();
    await this.context?.close();
    this.stream = this.node = this.context = undefined;
  }
}

/**
 * Plays 16-bit PCM frames through a jitter buffer, and reports what was really played.
 */
export class Speaker {
  /** @param {(report: {bytes: number, playedMs: number, queuedMs: number, underruns: number}) => void} onPlayed
   *  @param {string} [worklet] address of worklets/playout.js */
  constructor(onPlayed, worklet = new URL('./worklets/playout.js', import.meta.url).href) {
    this.onPlayed = onPlayed;
    this.worklet = worklet;
  }

  /** Must follow a click or key press, by the rule of browsers. */
  async start() {
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(this.worklet);
    this.node = new AudioWorkletNode(this.context, 'jarvis-playout', { outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.onPlayed(data);
    this.node.connect(this.context.destination);
  }

  /** An utterance begins. @param {number} sampleRate of its frames */
  begin(sampleRate) {
    this.node?.port.postMessage({ type: 'begin', sampleRate });
  }

  /** @param {Uint8Array} payload one frame @param {number} ptsMs */
  play(payload, ptsMs) {
    if (payload.byteLength === 0) return; // the last frame of an utterance may be empty
    const pcm = payload.slice().buffer;
    this.node?.port.postMessage({ type: 'frame', pcm, ptsMs }, [pcm]);
  }

  /** Silence, at once. */
  flush() {
    this.node?.port.postMessage({ type: 'flush' });
  }

  async stop() {
    await this.context?.close();
    this.context = this.node = undefined;
  }
}
