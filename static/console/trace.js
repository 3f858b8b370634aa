// A session's messages and frames: this page's, an observed one's, or a recording's.

import { LAST, LOST, decodeFrame } from '../jarvis/codec.js';
import { fromBase64, toBase64 } from './format.js';
import { TurnLog } from './turnlog.js';

/** Fields of OpenAI's dialect: sound in base64, kept as bytes. */
const SOUND = { 'input_audio_buffer.append': 'audio', 'response.output_audio.delta': 'delta' };
const MOST_RECORDS = 60_000;
const FORGET_RECORDS = 10_000; // at once: one by one is slow
const MOST_AUDIO_BYTES = 96 * 1024 * 1024; // a quarter of an hour in both directions

/**
 * A record: `n` (its number, from 0), `at` (ms since it began), `direction` (`in`, `out`, or `local`: what the page itself saw), `type`, `channel`,
 * `message` (null for a frame), `words` (for filters), `frame` (its head), `bytes` (of a frame, as on the wire; of such a message, its sound), `size` (in bytes).
 */
export class Trace extends EventTarget {
	records = [];
	/** The Wire shows none of a lower number. */ cleared = 0;
	/** For filters. */ kinds = new Set();
	forgotten = 0;
	/** What comes while the past is read; null: it was, or there is none. */ held = null;
	audioBytes = 0;
	#firstWithAudio = 0;

	/** `startedAt`: milliseconds since 1970. */
	constructor(name, kind, startedAt = Date.now()) {
		super();
		this.name = name;
		this.kind = kind;
		this.startedAt = startedAt;
		this.origin = performance.now();
		this.turns = new TurnLog();
		/** Ends a running observation. */ this.stop = null;
	}

	/** The number of the next record. */
	get end() {
		return this.forgotten + this.records.length;
	}

	get now() {
		return performance.now() - this.origin;
	}

	add(what, at = this.now) {
		return this.held ? this.held.push({ ...what, at }) : this.tell(what, at);
	}

	/** What was held follows the past. */
	join() {
		const { held } = this;
		this.held = null;
		for (const each of held) this.add(each, each.at);
	}

	/** Also while others wait. */
	tell({ direction, message, bytes }, at) {
		const record = { n: this.end, at, direction, ...(bytes ? this.#ofFrame(bytes) : this.#ofMessage(direction, message)) };
		this.records.push(record);
		this.kinds.add(`type:${record.type}`);
		if (record.channel !== undefined) this.kinds.add(`channel:${record.channel}`);
		this.turns.take(record);
		if (this.records.length > MOST_RECORDS) this.#forget();
		this.#boundAudio();
		this.dispatchEvent(new CustomEvent('record', { detail: record }));
		return record;
	}

	/** Of what this page saw itself. */
	note(message) {
		this.add({ direction: 'local', message });
	}

	#ofMessage(direction, whole) {
		const sound = SOUND[whole.type];
		const bytes = / /.test(whole[sound] ?? ' ') ? undefined : fromBase64(whole[sound]); // once forgotten, it is a number of characters
		const message = bytes ? { ...whole, [sound]: `${whole[sound].length} characters` } : whole;
		const size = direction === 'local' ? 0 : JSON.stringify(whole).length;
		this.audioBytes += bytes?.length ?? 0;
		return { type: String(message.type), channel: message.channel ?? (message.event_id && 'openai'), message, frame: null, bytes, size, isSound: Boolean(sound) };
	}

	/** What `add` takes: with the sound in the message again. */
	static told({ direction, message, bytes }) {
		const sound = bytes && SOUND[message?.type];
		return message ? { direction, message: sound ? { ...message, [sound]: toBase64(bytes) } : message } : { direction, bytes };
	}

	#ofFrame(bytes) {
		const { flags, channel, generation, seq, ptsMs, payload } = decodeFrame(bytes);
		const flagText = [flags & LAST ? 'last' : '', flags & LOST ? 'lost' : ''].filter(Boolean).join(' ');
		this.audioBytes += bytes.byteLength;
		const frame = { flags, generation, seq, ptsMs, size: payload.byteLength, flagText };
		return { type: 'audio', channel, message: null, frame, bytes, size: bytes.byteLength, isSound: true };
	}

	#forget() {
		for (const record of this.records.splice(0, FORGET_RECORDS)) this.audioBytes -= record.bytes?.byteLength ?? 0;
		this.forgotten += FORGET_RECORDS;
		this.#firstWithAudio = Math.max(0, this.#firstWithAudio - FORGET_RECORDS);
		this.dispatchEvent(new CustomEvent('forgotten'));
	}

	#boundAudio() {
		while (this.audioBytes > MOST_AUDIO_BYTES && this.#firstWithAudio < this.records.length) {
			const record = this.records[this.#firstWithAudio++];
			this.audioBytes -= record.bytes?.byteLength ?? 0;
			record.bytes = undefined;
		}
	}

	static summary({ message, frame }) {
		if (frame) return `${frame.size} bytes · ${frame.ptsMs} ms · generation ${frame.generation} · frame ${frame.seq}${frame.flagText ? ` · ${frame.flagText}` : ''}`;
		const { type, channel, seq, turn_id, event_id, ...rest } = message;
		const shown = JSON.stringify(rest);
		return shown.slice(1, shown.length > 400 ? 400 : -1).replace(/"(\w+)":/g, '$1: ').replaceAll(',', ', ');
	}
}
