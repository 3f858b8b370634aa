// Recordings: save this session; open, hear and scrub recordings.

import { Conversation } from './conversation.js';
import { button, empty, filePicker, fill, h, icon, on, onceAFrame, region, set, sketch, sourcePicker, text, toast } from './dom.js';
import { bytes, clock, count, counted, download } from './format.js';
import { load, mix, save, toWav } from './recording.js';
import { PastSessions } from './past.js';
import { TurnLog } from './turnlog.js';
import { drawWave, peaks } from './wave.js';

const LEAP_MS = 5_000;

export class RecordingsView {
	trace = null;

	constructor(session) {
		this.session = session;
		this.file = filePicker('recording', '.jsonl,.json', (file) => this.#read(file));
		this.about = h('p.soft');
		this.keep = button('Save this session', () => this.#save(), { selector: 'button.primary' }, 'save');
		this.scrub = button('Scrub this session', () => this.#open(session.source), {}, 'play');
		on(session, 'source', () => this.#name());
		this.player = h('div.stack');
		this.past = new PastSessions(session, (trace) => this.#open(trace));
		const back = button('Past sessions', () => this.#showPast(), { id: 'past' }, 'recordings');
		this.element = h('section.view.recordings', { aria: 'Recordings', ondragover: (event) => event.preventDefault(), ondrop: (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) this.#read(event.dataTransfer.files[0]); } }, h('div.bar-top.line', sourcePicker(session), this.keep, button('Open a recording', () => this.file.click(), {}, 'file'), this.scrub, back, this.file, this.about), this.player);
		this.#parts();
		this.#showPast();
	}

	#showPast() {
		this.audio.pause();
		this.trace = null;
		text(this.about, '');
		fill(this.player, this.past.element, empty('recordings', 'No recording is open', 'Save this session as a file, without tokens, for a bug report. Open one here, or drop it on this page, to scrub through it.'));
		this.past.load();
	}

	#parts() {
		const playing = () => this.#showPlaying();
		this.audio = h('audio', { preload: 'auto', onplay: playing, onpause: playing, onended: playing, ontimeupdate: () => this.draw() });
		const grip = (event) => { this.canvas.setPointerCapture(event.pointerId); this.#seekTo(event); };
		this.canvas = h('canvas.track', { role: 'slider', tabIndex: 0, aria: 'Position', 'aria-valuemin': 0, onpointerdown: grip, onpointermove: (event) => { if (event.buttons === 1) this.#seekTo(event); }, onkeydown: (event) => this.#onKey(event) });
		this.toggle = h('button.primary.square', { type: 'button', aria: 'Play', onclick: () => (this.audio.paused ? this.audio.play() : this.audio.pause()) }, icon('play'));
		this.time = h('span.num.clock');
		this.look = button('See it in Turns and Wire', () => { if (this.trace) this.session.look(this.trace); location.hash = '#turns'; }, {}, 'turns');
		this.history = region('div.history.card', 'Conversation up to there');
		this.draw = onceAFrame(() => this.#draw());
		new ResizeObserver(() => { this.waveform = null; this.draw(); }).observe(this.canvas);
	}

	#name() {
		const { kind } = this.session.source;
		const what = { live: 'this session', observed: 'the observed session' }[kind] ?? 'this recording';
		this.keep.lastChild.data = `Save ${what}`;
		this.scrub.lastChild.data = `Scrub ${what}`;
	}

	// --- files

	#save() {
		const { client, source: trace } = this.session;
		const own = trace === this.session.trace;
		const blob = save(trace, own ? { session_id: client.sessionId, user_id: client.ready?.user.user_id ?? '' } : trace.about ?? { name: trace.name });
		download(`${own ? client.sessionId : trace.name.replace(/\.jsonl$/, '').replace(/[^\w.-]+/g, '-')}.jsonl`, blob);
		toast(`Saved: ${counted(trace.records.length, 'message')}, ${bytes(blob.size)}.${trace.forgotten ? ` The first ${count(trace.forgotten)} were no longer kept.` : ''}`, 'good');
	}

	async #read(file) {
		try {
			this.#open(load(await file.text(), file.name));
		} catch (error) {
			toast(error.message, 'bad');
		}
	}

	#open(trace) {
		this.trace = trace;
		this.sound = mix(trace);
		this.waveform = null;
		URL.revokeObjectURL(this.audio.src);
		this.audio.src = URL.createObjectURL(toWav(this.sound));
		this.#rewind();
		text(this.about, `${trace.name} · ${clock(this.sound.durationMs)} · ${counted(trace.records.length, 'message')}`);
		fill(this.player, h('div.card.stack', this.canvas, h('div.line', this.toggle, this.time, h('span.soft', 'you above, Jarvis below; ← → leap 5 s'), h('span.end'), this.look)), this.history);
		this.draw();
	}

	// --- position

	get positionMs() {
		return this.audio.currentTime * 1000;
	}

	#seekTo(event) {
		const box = this.canvas.getBoundingClientRect();
		this.#seek(((event.clientX - box.left) / box.width) * (this.sound?.durationMs ?? 0));
	}

	#seek(ms) {
		this.audio.currentTime = Math.max(0, Math.min(this.sound?.durationMs ?? 0, ms)) / 1000;
		this.draw();
	}

	#onKey(event) {
		const to = { ArrowRight: this.positionMs + LEAP_MS, ArrowLeft: this.positionMs - LEAP_MS, Home: 0, End: Infinity }[event.key];
		if (to !== undefined) this.#seek(to);
		else if (event.key === ' ') this.toggle.click();
		else return;
		event.preventDefault();
	}

	#showPlaying() {
		const { paused } = this.audio;
		fill(set(this.toggle, { aria: paused ? 'Play' : 'Pause' }), icon(paused ? 'play' : 'pause'));
		if (!paused) this.#run();
	}

	#run() {
		this.draw();
		if (!this.audio.paused && this.element.isConnected) requestAnimationFrame(() => this.#run());
	}

	#rewind() {
		this.conversation?.leave();
		this.log = new TurnLog();
		this.told = this.trace.forgotten;
		this.conversation = new Conversation(this.log, () => toast('This is a recording: nothing can be approved in it.'));
		fill(this.history, this.conversation.list, empty('play', 'Nothing was said yet', 'Press play, or drag along the waveform: the conversation up to there appears here.'));
	}

	#tellUpTo(position) {
		const { records, forgotten } = this.trace; // it may still grow, and forget
		if (records[this.told - forgotten - 1]?.at > position) this.#rewind();
		while (records[this.told - forgotten]?.at <= position) this.log?.take(records[this.told++ - forgotten]);
	}

	// --- picture

	#draw() {
		if (!this.trace || !this.sound || !this.canvas.isConnected) return;
		const { durationMs } = this.sound;
		const position = this.positionMs;
		this.#tellUpTo(position);
		text(this.time, `${clock(position)} / ${clock(durationMs)}`);
		set(this.canvas, { 'aria-valuemax': Math.round(durationMs), 'aria-valuenow': Math.round(position), 'aria-valuetext': `${clock(position)} of ${clock(durationMs)}` });
		this.#drawTrack(position / Math.max(1, durationMs));
	}

	#drawTrack(share) {
		const on = sketch(this.canvas);
		const { pen, width, height, ratio, colour } = on;
		if (width === 0) return;
		this.waveform ??= { you: peaks(this.sound.you, width), agent: peaks(this.sound.agent, width) };
		drawWave(on, this.waveform);
		pen.fillStyle = colour('--ink');
		pen.fillRect(Math.min(width - 2 * ratio, share * width), 0, 2 * ratio, height);
	}

	show() {
		if (this.trace) this.draw();
		else this.past.load();
	}

	hide() {
		this.audio.pause();
	}
}
