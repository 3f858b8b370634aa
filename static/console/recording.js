// A session as JSON lines, one per message or frame with its time; and its audio, mixed. Pure.

import { decodeFrame } from '../jarvis/codec.js';
import { fromBase64, toBase64 } from './format.js';
import { tried } from './settings.js';
import { Trace } from './trace.js';

const FORM = 'jarvis.recording';
const VERSION = 1;
/** Of the mix: enough for speech. */
export const MIX_HZ = 16_000;
const LONGEST_MS = 3_600_000;
const LATEST_MS = 3e9; // a tab may stay open for weeks
const GAP_MS = 150;
const OPENAI_HZ = 24_000;
const SECRET = /^((\w+_)?token|ticket|password|authorization|headers|server_url)$/;

export function save(trace, about) {
	const lines = [`${JSON.stringify({ type: FORM, version: VERSION, protocol: 'jarvis.v1', started_at: new Date(trace.startedAt).toISOString(), ...about })}\n`];
	for (const record of trace.records) {
		const { direction, message, bytes } = Trace.told(record);
		const what = message ? { message: withoutSecrets(message) } : bytes && { frame: toBase64(bytes) };
		if (what) lines.push(`${JSON.stringify({ at_ms: Math.round(record.at * 10) / 10, direction, ...what })}\n`);
	}
	return new Blob(lines, { type: 'application/jsonl' });
}

/** Recordings are passed on. */
export const withoutSecrets = (message) => JSON.parse(JSON.stringify(message, (name, value) => (SECRET.test(name) ? undefined : value)));

/** Throws an Error whose message is for people. */
export function load(words, name) {
	const [first, ...lines] = words.split('\n');
	const { type, version, protocol, started_at, ...about } = parsed(first, 1);
	if (type !== FORM) throw new Error(`${name} is no recording of this console: choose a .jsonl file that it saved.`);
	if (version !== VERSION) throw new Error(`${name} is of version ${version}; this console reads ${VERSION}.`);
	const trace = new Trace(name, 'recording', Date.parse(started_at) || 0);
	trace.about = about; // if saved again
	lines.forEach((line, index) => { if (line) addLine(trace, parsed(line, index + 2), index + 2); });
	return trace;
}

function parsed(line, number) {
	const found = tried(() => JSON.parse(line));
	if (found && typeof found === 'object') return found;
	throw new Error(`Line ${number} is no JSON object: the file is damaged, or no recording.`);
}

/** Of fields that are not drawn otherwise; what was sent by hand may be anything. */
const SHAPES = { text: String, entities: Object, reasons: Array };
const fits = (message) => Object.entries(SHAPES).every(([name, shape]) => message[name] === undefined || message[name]?.constructor === shape);

function addLine(trace, { at_ms: at, direction, message, frame }, number) {
	const isFine = typeof at === 'number' && at <= LATEST_MS && ['in', 'out', 'local'].includes(direction) && (typeof frame === 'string' || message);
	if (!isFine) throw new Error(`Line ${number} is no message of a recording.`);
	if ((message && direction === 'in' && !fits(message)) || !tried(() => trace.add(typeof frame === 'string' ? { direction, bytes: fromBase64(frame) } : { direction, message }, at))) throw new Error(`Line ${number} is damaged: its message lacks something.`);
}

// --- sound

/** In Hz. */
export const toRate = (hz) => (hz >= 8_000 && hz <= 48_000 ? hz : 16_000);

/** The audio of both sides, as it sounded. Times in ms. */
export function mix(trace, from = 0, to = Math.min(LONGEST_MS, (trace.records.at(-1)?.at ?? 0) + 500), hz = MIX_HZ) {
	const length = Math.ceil(((to - from) * hz) / 1000);
	const { you, agent } = pieces(trace);
	return { you: laid(you, from, length, hz), agent: laid(agent, from, length, hz), durationMs: to - from };
}

function pieces(trace) {
	const you = [];
	const agent = [];
	const channels = new Map();
	const line = (number) => {
		if (!channels.has(number)) channels.set(number, { rate: number === 'openai' ? OPENAI_HZ : 16_000, plain: true, next: 0, run: { start: -Infinity }, utterance: null });
		return channels.get(number);
	};
	for (const { at, direction, channel, message, bytes } of trace.records) {
		if (channel === undefined) continue;
		if (message) onMessage(line(channel), message, at);
		if (!bytes) continue;
		const frame = message ? { payload: bytes } : decodeFrame(bytes);
		if (direction === 'out') you.push(...spoken(line(channel), frame, at));
		else agent.push(...answered(line(channel), frame, at));
	}
	return { you: you.map(({ run, ...piece }) => ({ ...piece, at: Math.max(0, run.start + piece.at) })), agent: agent.map(({ utterance, ...piece }) => ({ ...piece, at: utterance.start + piece.at, until: utterance.until })) };
}

function onMessage(line, message, at) {
	const plain = message.encoding === 'pcm_s16le';
	if (message.type === 'observe.audio' && message.direction === 'client') Object.assign(line, { rate: toRate(message.sample_rate), plain });
	else if (message.type === 'observe.audio') line.utterance ??= utterance(message, plain);
	else onSession(line, message, plain, at);
}

const utterance = ({ sample_rate: rate }, plain) => ({ rate: toRate(rate), plain, start: null, sounded: false, until: Infinity, came: 0 });

function onSession(line, message, plain, at) {
	line.isWritten ||= message.type === 'playout.written'; // not heard from here on
	if (message.type === 'channel.open') Object.assign(line, { rate: toRate(message.params?.sample_rate), plain: (message.params?.encoding ?? 'pcm_s16le') === 'pcm_s16le' });
	else if (message.type === 'tts.started') line.utterance = utterance(message, plain && !line.isWritten);
	else if (message.type === 'response.content_part.added' && message.part?.type === 'audio') line.utterance = utterance({ sample_rate: OPENAI_HZ }, true);
	else if (!line.utterance) return;
	else if (message.type === 'playout.sounding' && !line.utterance.sounded) Object.assign(line.utterance, { start: at, sounded: true });
	else if (['playout.silent', 'playout.written', 'turn.interrupted', 'turn.paused'].includes(message.type)) line.utterance.until = Math.min(line.utterance.until, at);
}

/** Microphone frames by their own clock, which stands still while nothing is sent. */
function spoken(line, { payload, ptsMs }, at) {
	const samples = toSamples(payload);
	if (!line.plain || samples.length === 0) return [];
	const lasts = (samples.length * 1000) / line.rate;
	const place = ptsMs || line.next;
	line.next = place + lasts;
	const seen = at - line.next;
	if (seen > line.run.start + GAP_MS) line.run = { start: seen };
	line.run.start = Math.min(line.run.start, seen);
	return [{ at: place, run: line.run, rate: line.rate, samples, until: Infinity }];
}

/** Without a report of playing: played on arrival. */
function answered({ utterance }, { payload, ptsMs = utterance?.came }, at) {
	if (!utterance?.plain) return [];
	utterance.start ??= at;
	const samples = toSamples(payload);
	utterance.came = ptsMs + (samples.length * 1000) / utterance.rate;
	return [{ at: ptsMs, rate: utterance.rate, samples, utterance }];
}

function toSamples(payload) {
	return new Int16Array(payload.slice(0, payload.length & ~1).buffer);
}

function laid(list, from, length, hz) {
	const track = new Float32Array(length);
	const place = (at) => Math.round(((at - from) * hz) / 1000);
	for (const { at, rate, samples, until } of list) {
		const step = rate / hz;
		const first = place(at);
		const last = Math.min(length, first + Math.floor(samples.length / step), place(until));
		for (let index = Math.max(0, first); index < last; index += 1) track[index] += samples[Math.floor((index - first) * step)] / 0x8000;
	}
	return track;
}

/** Stereo: you on the left, the agent on the right. */
export function toWav({ you, agent }) {
	const data = new DataView(new ArrayBuffer(44 + you.length * 4));
	const put = (at, words) => [...words].forEach((sign, index) => data.setUint8(at + index, sign.charCodeAt(0)));
	put(0, 'RIFF');
	data.setUint32(4, 36 + you.length * 4, true);
	put(8, 'WAVEfmt ');
	[16, 0x0002_0001, MIX_HZ, MIX_HZ * 4, 0x0010_0004, 0, you.length * 4].forEach((value, index) => data.setUint32(16 + index * 4, value, true));
	put(36, 'data');
	const ear = (at, near, far) => data.setInt16(at, Math.max(-1, Math.min(1, near * 0.8 + far * 0.25)) * 0x7fff, true);
	you.forEach((mine, index) => {
		ear(44 + index * 4, mine, agent[index]);
		ear(46 + index * 4, agent[index], mine);
	});
	return new Blob([data], { type: 'audio/wav' });
}
