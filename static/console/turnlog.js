// A session's messages become turns. Pure.

import { asNative } from './dialect.js';

const MOST_TURNS = 200;
const MOST_OUTPUT_CHARS = 200_000;
/** What ears decided: the voice detector, the recogniser, the end of turn. */
const DECISION = /^(stt\..*|turn\.(eager_end|resumed|end))$/;

/** Messages about one turn, and what moments some mark. */
const OF_TURN = /^(turn|task|tts)\.|^error$/;
const MARKS = { 'turn.intent': 'intent', 'turn.plan': 'plan', 'turn.safety': 'safety', 'turn.reply': 'reply', 'turn.done': 'done', 'turn.interrupted': 'interrupted', 'tts.started': 'tts', 'tts.audio': 'first_byte' };

/** A spoken or typed input, and what followed. Times: the trace's, in ms. */
export class Turn {
	id = '';
	text = '';
	stableChars = 0;
	isFinal = false;
	marks = {};
	/** `type`, `text`, `at`: when it was told, `about`: the moment of the microphone that it is about. */ decisions = [];
	intent = null;
	plan = null;
	safety = null;
	steps = new Map();
	reply = '';
	/** Of the current utterance: `text`, `start_ms`, `end_ms`. */ words = [];
	/** Characters of the reply that the loudspeaker has reached. */ spoken = 0;
	spokenBefore = 0;
	playedMs = 0;
	heardText = null;
	/** Sounds during the reply: `from`, `to`; `words`: it was speech. */ pauses = [];
	/** As measured by the server. */ latency = null;
	status = '';
	/** Typed without a socket, not sent yet. */ waits = false;
	errors = [];
	version = 0;

	constructor(key, channel, source) {
		this.key = key;
		this.channel = channel;
		this.source = source;
	}

	/** The first time counts. */
	mark(name, at) {
		this.marks[name] ??= at;
	}

	/** When the user began to wait for an answer. */
	get askedAt() {
		return this.marks.speech_end ?? this.marks.sent ?? this.marks.speech_start ?? this.marks.typed;
	}

	get isOver() {
		return this.status !== '';
	}

	/** A sound stopped the reply; whether words follow is not known yet. */
	get isPaused() {
		return !this.isOver && this.pauses.at(-1)?.to === null;
	}

	/** Made when it is first spoken of. Times are of its question, and of its work. */
	step(id) {
		const known = this.steps.get(id);
		if (known) return known;
		const made = { id, name: '', description: '', parameters: null, askedAt: null, answeredAt: null, startedAt: null, endedAt: null, progress: [], output: '', status: 'waiting', message: '', result: null, question: null };
		this.steps.set(id, made);
		return made;
	}
}

/** What to do about an error here, by its code; `/docs` has all of them. */
const HINTS = {
	UNAVAILABLE: 'The service is down: look at System, start it again, then repeat.',
	CIRCUIT_OPEN: 'The service failed too often and rests: wait some seconds, then repeat.',
	DEADLINE_EXCEEDED: 'The service was too slow: repeat, or raise GRPC_DEADLINES_MS.',
	PERMISSION_DENIED: 'Sign in as somebody with more roles.',
	NOT_APPROVED: 'Ask again, and choose Approve in time.',
	AUDIO_RATE_LIMITED: 'Choose 16 kHz as the rate.',
	UNKNOWN_TYPE: 'Wire has one of each message that exists.',
};

export const hint = (code) => HINTS[code] ?? '';

const GAP_MS = 150;

/**
 * When the microphone's clock was at zero. Frames that waited for credit make it seem later, so the earliest value is right,
 * unless push-to-talk was released.
 */
function micStart(known, seen) {
	return known === null || seen > known + GAP_MS ? seen : Math.min(known, seen);
}

export class TurnLog {
	/** Oldest first. */ list = [];
	listeners = new Set();
	#nextKey = 1;
	#byId = new Map();
	/** What is under way in each, by number. */ #channels = new Map();

	take({ channel, frame, at, direction, ...record }) {
		const message = record.message?.event_id ? asNative(record.message) : record.message;
		if (message?.type === 'session.ready') this.#onSession();
		if (channel === undefined || !(message || frame)) return;
		const line = this.#line(channel);
		if (frame) this.#onFrame(line, direction, frame, at);
		else if (direction === 'out') this.#onCommand(line, message, at);
		else if (DECISION.test(message.type)) this.#onDecision(line, message, at);
		else if (OF_TURN.test(message.type)) this.#onTurn(line, message, at);
		else this[`on ${message.type}`]?.(line, message, at);
	}

	#onTurn(line, message, at) {
		const [act, mark] = [`on ${message.type}`, MARKS[message.type]];
		if (!mark && !this[act]) return;
		const turn = this.#turn(line, message);
		this[act]?.(turn, message, at, line);
		if (mark) turn.mark(mark, at);
		this.#changed(turn);
	}

	/** Turns of the earlier session have ended; inputs not sent yet are sent in this one. */
	#onSession() {
		this.#channels.clear();
		for (const turn of this.list.filter((each) => !each.isOver)) {
			if (turn.waits) this.#drop(turn);
			else turn.status = 'lost';
			this.#changed(turn);
		}
	}

	#line(channel) {
		const known = this.#channels.get(channel);
		if (known) return known;
		const made = { channel, kind: 'turn', micStart: null, sentMs: 0, hearing: null, waiting: [], speaking: null, last: null, typed: null, openedBy: null };
		this.#channels.set(channel, made);
		return made;
	}

	/** The turn of a record: by its id, else by channel and time. */
	of({ at, channel, message }) {
		const id = message?.turn_id;
		return this.list.findLast((turn) => (id ? turn.id === id : turn.channel === channel && at >= Math.min(...Object.values(turn.marks))));
	}

	/** Opened with text, so without a microphone? */
	isTyped(channel) {
		return this.list.some((turn) => turn.channel === channel && !turn.isOver && turn.source === 'text');
	}

	#begin(line, source) {
		const turn = new Turn(this.#nextKey++, line.channel, source);
		this.list.push(turn);
		if (this.list.length > MOST_TURNS) this.#byId.delete(this.list.shift()?.id ?? '');
		line.last = turn;
		return turn;
	}

	#changed(turn) {
		if (!turn) return;
		turn.version += 1;
		for (const listener of this.listeners) listener(turn);
	}

	/** Of a message. At its first, the oldest words that wait for a turn become it. */
	#turn(line, message) {
		const id = message.turn_id;
		if (!id) return line.hearing ?? line.last ?? this.#begin(line, 'voice');
		const known = this.#byId.get(id);
		if (known) return known;
		const turn = line.waiting.shift() ?? this.#begin(line, 'speech');
		turn.id = id;
		line.last = turn;
		this.#byId.set(id, turn);
		return turn;
	}

	// --- what this side sends

	#onCommand(line, message, at) {
		if (message.type === 'channel.open') this.#onOpen(line, message, at);
		else if (message.type === 'playback') this.#onPlayback(line, message);
		else if (message.type === 'append') this.#onAppend(line, message.ms, at);
	}

	#onOpen(line, { kind, seq, params = {} }, at) {
		if (seq !== undefined && line.openedBy === seq) return; // sent again after a resume
		line.openedBy = seq ?? null;
		line.kind = kind;
		if (kind === 'execute') this.#onExecute(line, params, at);
		else if (typeof params.text === 'string') this.#onText(line, kind, params.text, at);
	}

	#onExecute(line, params, at) {
		const turn = this.#begin(line, 'task');
		Object.assign(turn, { text: `${params.executor} ${params.action}`, isFinal: true });
		Object.assign(turn.step(''), { name: `${params.executor}.${params.action}`, parameters: params.parameters ?? {} });
		turn.mark('sent', at);
		this.#changed(turn);
	}

	#onText(line, kind, text, at) {
		const turn = line.typed ?? this.#begin(line, kind === 'tts' ? 'voice' : 'text');
		line.typed = null;
		Object.assign(turn, { text, isFinal: true, waits: false, reply: kind === 'tts' ? text : '' });
		turn.mark('sent', at);
		if (kind === 'turn') line.waiting.push(turn);
		this.#changed(turn);
	}

	/** Typed without a socket; sent when there is one. */
	'on typed.waiting'(line, message, at) {
		line.typed = this.#channels.get(message.before)?.typed ?? this.#begin(line, 'text');
		line.typed.mark('typed', at);
		Object.assign(line.typed, { channel: line.channel, text: message.text, isFinal: true, waits: true });
		this.#changed(line.typed);
	}

	'on typed.cancelled'({ typed }) {
		if (typed) Object.assign(typed, { status: 'cancelled', waits: false });
		this.#changed(typed);
	}

	#onAppend(line, ms, at) {
		line.micStart = micStart(line.micStart, at - line.sentMs);
		line.sentMs += ms;
	}

	#onPlayback(line, { played_ms: playedMs }) {
		const turn = line.speaking;
		if (!turn || line.isWritten) return;
		turn.playedMs = playedMs;
		let reached = turn.spokenBefore;
		for (const word of turn.words) {
			if (word.start_ms > playedMs) break;
			const found = turn.reply.indexOf(word.text, reached);
			if (found >= 0) reached = found + word.text.length;
		}
		turn.spoken = Math.max(turn.spoken, reached);
		this.#changed(turn);
	}

	#onFrame(line, direction, frame, at) {
		if (direction === 'out') line.micStart = micStart(line.micStart, at - frame.ptsMs);
		else if (line.speaking && line.speaking.marks.first_byte === undefined) {
			line.speaking.mark('first_byte', at);
			this.#changed(line.speaking);
		}
	}

	// --- hearing

	#onDecision(line, message, at) {
		const { type, at_ms: about, end_ms: end, text = '' } = message;
		const before = line.hearing;
		this[`on ${type}`]?.(line, message, at);
		const turn = line.hearing ?? before ?? line.waiting.at(-1) ?? line.last;
		if (!turn) return;
		turn.decisions.push({ type, at, about: this.#heardAt(line, about ?? end, at), text });
		if (type === 'turn.end') turn.marks.end = at;
		else if (!type.startsWith('stt')) turn.marks.eager_end = type === 'turn.resumed' ? undefined : at;
		this.#changed(turn);
	}

	/** The trace's time for a time on the microphone's clock. */
	#heardAt(line, atMs, now) {
		return line.micStart === null || atMs === undefined ? now : Math.min(now, line.micStart + atMs);
	}

	'on stt.speech_started'(line, message, at) {
		line.hearing = this.#begin(line, 'speech');
		line.hearing.mark('speech_start', this.#heardAt(line, message.at_ms, at));
	}

	'on stt.partial'(line, message, at) {
		if (!line.hearing) this['on stt.speech_started'](line, {}, at);
		Object.assign(line.hearing, { text: message.text ?? '', stableChars: message.stable_chars ?? 0 });
		line.hearing.mark('first_words', at);
	}

	'on stt.speech_stopped'(line, message, at) {
		if (!line.hearing) return;
		line.hearing.mark('speech_end', this.#heardAt(line, message.at_ms, at));
		line.hearing.mark('endpoint', at);
	}

	'on stt.final'(line, message, at) {
		const turn = line.hearing ?? (message.text ? this.#begin(line, 'speech') : null);
		line.hearing = null;
		if (!turn) return;
		Object.assign(turn, { text: message.text ?? '', isFinal: true });
		turn.mark('speech_start', this.#heardAt(line, message.start_ms, at));
		turn.mark('speech_end', this.#heardAt(line, message.end_ms, at));
		turn.mark('final', at);
		if (!message.text) this.#drop(turn);
		else if (line.kind === 'stt') turn.status = 'heard';
		else line.waiting.push(turn);
	}

	/** Without words: a cough, a door. */
	#drop(turn) {
		turn.status = 'no words';
		this.list = this.list.filter((each) => each !== turn);
	}

	// --- understanding

	'on turn.intent'(turn, message) { turn.intent = { intent: '', confidence: 0, entities: {}, ...message }; }

	'on turn.plan'(turn, message) {
		turn.plan = message;
		for (const step of message.steps) {
			Object.assign(turn.step(step.id), { name: `${step.executor}.${step.action}`, description: step.description, parameters: step.parameters });
		}
	}

	'on turn.safety'(turn, message) { turn.safety = message; }

	// --- doing

	'on task.started'(turn, message, at, line) {
		const step = this.#begun(turn, message, at);
		this.#answered(line, step, at);
		step.status = 'running';
	}

	#begun(turn, message, at) {
		const step = turn.step(message.step_id ?? '');
		step.startedAt ??= at;
		return step;
	}

	'on task.progress'(turn, message, at) {
		const step = this.#begun(turn, message, at);
		if (message.data) step.output = (step.output + message.data).slice(-MOST_OUTPUT_CHARS);
		if (message.message || message.percent !== undefined) step.progress.push({ at, percent: message.percent ?? null, message: message.message ?? '' });
	}

	'on task.confirmation_required'(turn, message, at) {
		const step = turn.step(message.step_id ?? '');
		const action = message.action ? `${message.executor}.${message.action}` : step.name;
		const question = { id: message.confirmation_id, actionHash: message.action_hash, reason: message.sentence ?? message.reason, risk: message.risk, expiresAt: message.expires_at, action, parameters: message.parameters ?? step.parameters ?? {}, open: true };
		Object.assign(step, { status: 'asking', askedAt: at, question });
	}

	'on task.result'(turn, message, at, line) {
		const step = this.#begun(turn, message, at);
		this.#answered(line, step, at);
		Object.assign(step, { endedAt: at, status: message.status, result: message.result, message: message.message ?? '' });
	}

	/** A spoken yes or no answered the question, so it is not a turn. */
	#answered(line, step, at) {
		if (!step.question?.open) return;
		step.question.open = false;
		step.answeredAt = at;
		this.#dropAnswer(line);
	}

	#dropAnswer(line) {
		const answer = line.waiting.shift();
		if (!answer) return;
		answer.status = 'answer';
		this.#changed(answer);
	}

	// --- answering

	'on turn.reply'(turn, message) {
		const { text = '', more } = message;
		turn.reply = turn.replyGoesOn ? turn.reply + text : text;
		turn.replyGoesOn = more === true; // a language model sends it in parts
	}

	'on tts.started'(turn, _message, _at, line) {
		Object.assign(turn, { words: [], spokenBefore: turn.spoken, playedMs: 0, heardText: null });
		delete turn.marks.interrupted; // that ended a question
		line.speaking = turn;
	}

	'on tts.words'(turn, message) { turn.words.push(...message.words); }

	'on playout.sounding'(line, _message, at) {
		line.speaking?.mark('first_sound', at);
		this.#changed(line.speaking);
	}

	'on playout.silent'(line, _message, at) {
		if (!line.speaking) return;
		line.speaking.marks.silent = at;
		if (line.speaking.heardText === null) line.speaking.spoken = Math.max(line.speaking.spoken, this.#end(line.speaking));
		this.#changed(line.speaking);
	}

	/** After a reload: it is read, though the server is told that it was played. */
	'on playout.written'(line, _message, at) {
		line.isWritten = true;
		if (line.speaking && !line.speaking.isOver) line.speaking.marks.silent ??= at;
	}

	/** The whole utterance was played, beyond the last report too. */
	#end(turn) {
		const last = turn.words.at(-1);
		return last && !turn.isPaused && turn.playedMs >= last.start_ms ? turn.reply.length : 0;
	}

	'on turn.interrupted'(turn, message, at) {
		turn.heardText = message.heard_text;
		turn.spoken = Math.min(turn.reply.length, message.heard_text.length);
		this.#goOn(turn, at, true);
	}

	'on turn.paused'(turn, _message, at) {
		if (!turn.isPaused) turn.pauses.push({ from: at, to: null, words: false });
	}

	/** No words followed: the rest of the reply comes as a separate utterance. */
	'on turn.continued'(turn, _message, at) {
		this.#goOn(turn, at, false);
		delete turn.marks.silent;
	}

	#goOn(turn, at, words) {
		const pause = turn.pauses.at(-1);
		if (pause?.to === null) Object.assign(pause, { to: at, words });
	}

	'on turn.latency'(turn, message) { turn.latency = message.stages; }

	'on turn.done'(turn, message, _at, line) {
		turn.status = message.status;
		if (message.status === 'cancelled') this.#dropAnswer(line); // somebody said "stop"
		for (const step of turn.steps.values()) {
			if (step.question) step.question.open = false;
			if (step.status === 'waiting') step.status = 'skipped';
		}
	}

	// --- failing

	'on error'(turn, { code, message }) {
		if (!turn.errors.some((error) => error.code === code && error.message === message)) turn.errors.push({ code, message, hint: hint(code) });
	}

	'on channel.closed'(line, message, at) {
		const turn = line.last;
		this.#channels.delete(line.channel);
		if (!turn) return;
		turn.mark('done', at);
		if (message.status === 'error') this['on error'](turn, message);
		if (!turn.isOver) turn.status = { ok: 'ok', cancelled: 'cancelled', error: 'failed' }[message.status] ?? message.status;
		for (const waiting of [...line.waiting, line.hearing]) if (waiting && !waiting.isOver) { waiting.status = turn.status; this.#changed(waiting); }
		this.#changed(turn);
	}
}
