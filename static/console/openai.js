// A client of OpenAI's Realtime API, on its own socket. The Wire has its events as channel `openai`.

import { fromBase64, toBase64 } from './format.js';
import { BadSocket } from './network.js';
import { settings } from './settings.js';

const HZ = 24_000;
const BYTES_PER_MS = (HZ * 2) / 1000;
const FORMAT = { type: 'audio/pcm', rate: HZ };
const FASTEST = 1.5; // of this API

/** A session, which Voice uses like a channel. Events: those of a channel, and `busy`. */
export class Realtime extends EventTarget {
	number = 'openai';
	rate = HZ;
	isBusy = false;
	isClosed = false;
	#sent = 0;
	/** The spoken item; how much of it came, was played. */ #speech = { cameMs: 0, playedMs: 0 };
	#detects = true;

	constructor(trace, token) {
		super();
		this.trace = trace;
		this.socket = new BadSocket(`${location.origin.replace('http', 'ws')}/v1/realtime?model=jarvis`, ['realtime', `openai-insecure-api-key.${token}`]);
		this.opened = new Promise((resolve) => { this.socket.onopen = resolve; });
		this.socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
		this.socket.onclose = (event) => this.#onClose(event);
	}

	#tell(type, detail = {}) {
		this.dispatchEvent(new CustomEvent(type, { detail }));
	}

	async #send(type, fields) {
		const message = { type, event_id: `console_${(this.#sent += 1)}`, ...fields };
		await this.opened;
		this.trace.add({ direction: 'out', message });
		this.socket.send(JSON.stringify(message));
	}

	#onClose({ code, reason }) {
		this.isClosed = true;
		const message = { type: 'channel.closed', channel: this.number, status: code === 1000 ? 'ok' : 'error', code: String(code), message: reason || 'the socket was refused, or broke' };
		this.trace.note(message);
		this.#busy(false);
		this.#tell('closed', message);
	}

	#busy(isBusy) {
		this.isBusy = isBusy;
		this.#tell('busy');
	}

	#take(message) {
		this.trace.add({ direction: 'in', message });
		const { type, delta, item_id: item, part } = message;
		if (type === 'response.created' || type === 'response.done') this.#busy(type === 'response.created');
		else if (type === 'input_audio_buffer.speech_started') this.#hush();
		else if (type === 'response.output_audio.done') this.#tell('tts.done');
		else if (type === 'response.content_part.added' && part.type === 'audio') {
			this.#speech = { item, cameMs: 0, playedMs: 0 };
			this.#tell('tts.started', { sample_rate: HZ, generation: 0 });
		} else if (type === 'response.output_audio.delta') {
			const payload = fromBase64(delta);
			this.#tell('audio', { payload, ptsMs: this.#speech.cameMs });
			this.#speech.cameMs += payload.length / BYTES_PER_MS;
		}
	}

	/** Drop what was not heard of the reply, and tell how much was. */
	#hush() {
		const { item, cameMs, playedMs } = this.#speech;
		this.#speech = { cameMs: 0, playedMs: 0 };
		this.#tell('stale');
		if (item && playedMs < cameMs) this.#send('conversation.item.truncate', { item_id: item, content_index: 0, audio_end_ms: Math.floor(playedMs) });
	}

	#update(fields = {}) {
		const { reply, voice, speed } = settings;
		const output = { format: FORMAT, speed: Math.min(FASTEST, Number(speed)), ...(voice && this.#sent === 0 && { voice }) };
		this.#send('session.update', { session: { type: 'realtime', output_modalities: [reply], audio: { output, ...fields } } });
	}

	say(text) {
		this.#update();
		this.#send('conversation.item.create', { item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
		this.#send('response.create');
	}

	/** `detects`: the gateway decides where a turn ends. */
	listen(detects) {
		this.#detects = detects;
		this.#update({ input: { format: FORMAT, transcription: { language: settings.language }, turn_detection: detects ? { type: 'server_vad' } : null } });
	}

	// --- what Voice, Microphone and Playout do with a channel

	sendAudio(pcm) {
		this.#send('input_audio_buffer.append', { audio: toBase64(pcm) });
	}

	commit() {
		this.#send('input_audio_buffer.commit');
		this.#send('response.create');
	}

	end() {
		if (!this.#detects) this.#send('input_audio_buffer.clear');
	}

	cancel() {
		if (this.isBusy) this.#send('response.cancel');
		this.#hush();
	}

	played(_bytes, playedMs = this.#speech.playedMs) {
		this.#speech.playedMs = playedMs;
	}
}
