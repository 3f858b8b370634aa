// Loudspeaker: a jitter buffer of 16-bit PCM, resampled to the context's rate, and a report of what was played.

const FIRST_TARGET_MS = 60; // buffered before an utterance starts to sound, against network jitter
const TARGET_STEP_MS = 40; // added after each underrun
const HIGHEST_TARGET_MS = 300;
const REPORT_MS = 100;
const FADE_SAMPLES = 128; // at an interruption: a cut wave clicks

class Playout extends AudioWorkletProcessor {
	constructor() {
		super();
		this.rate = 16_000;
		this.generation = 0;
		this.targetMs = FIRST_TARGET_MS;
		this.underruns = 0;
		this.droppedMs = 0;
		this.leaving = false;
		this.last = 0;
		this.clear();
		this.port.onmessage = ({ data }) => this[data.type](data);
	}

	clear() {
		this.frames = [];
		this.position = 0;
		this.queued = 0;
		this.sounding = false;
		this.complete = false;
		this.playedBytes = 0;
		this.playedMs = 0;
		this.moved = false;
		this.sinceReport = 0;
	}

	// --- messages

	begin({ rate, generation }) {
		this.rate = rate;
		this.generation = generation;
		this.playedMs = 0;
		this.complete = false;
		this.fresh = true;
	}

	frame({ pcm, ptsMs }) {
		const samples = new Int16Array(pcm);
		if (samples.length === 0) return;
		this.frames.push({ samples, ptsMs });
		this.queued += samples.length;
	}

	/** The utterance is complete: an empty buffer now means its end. */
	finish() {
		this.complete = true;
	}

	flush() {
		this.droppedMs += this.queuedMs;
		const bytes = this.playedBytes + this.queued * 2;
		const wasSounding = this.sounding;
		this.clear();
		this.playedBytes = bytes;
		this.report();
		if (wasSounding) this.port.postMessage({ type: 'silent' });
	}

	/** The channel has closed: play the rest, then stop. */
	leave() {
		this.leaving = true;
		this.complete = true;
	}

	// --- sound

	get queuedMs() {
		return Math.max(0, ((this.queued - this.position) * 1000) / this.rate);
	}

	process(_inputs, [[output]]) {
		if (!this.sounding && this.frames.length > 0 && (this.complete || this.queuedMs >= this.targetMs)) this.start();
		const step = this.rate / sampleRate;
		for (let index = 0; index < output.length; index += 1) output[index] = this.sounding ? this.next(step) : this.fade();
		this.sinceReport += (output.length * 1000) / sampleRate;
		if (this.sinceReport >= REPORT_MS && this.playedBytes > 0) this.report();
		if (!this.leaving || this.frames.length > 0) return true;
		this.port.postMessage({ type: 'gone' });
		return false;
	}

	start() {
		this.sounding = true;
		if (this.fresh) this.port.postMessage({ type: 'sounding', queuedMs: this.queuedMs });
		this.fresh = false;
	}

	fade() {
		this.last *= 1 - 4 / FADE_SAMPLES;
		return this.last;
	}

	/** One output sample: Hermite interpolation of four input samples. */
	next(step) {
		const head = this.frames[0];
		if (!head) return this.dry();
		const at = Math.floor(this.position);
		const t = this.position - at;
		const b = head.samples[at];
		const a = at > 0 ? head.samples[at - 1] : b;
		const c = this.sample(at + 1, b);
		const d = this.sample(at + 2, c);
		const slope = (c - a) / 2;
		const bend = a - 2.5 * b + 2 * c - d / 2;
		const twist = (d - a) / 2 + 1.5 * (b - c);
		this.position += step;
		if (this.position >= head.samples.length) this.drop(head);
		this.last = (((twist * t + bend) * t + slope) * t + b) / 0x8000;
		return this.last;
	}

	sample(at, otherwise) {
		const { samples } = this.frames[0];
		if (at < samples.length) return samples[at];
		return this.frames[1]?.samples[at - samples.length] ?? otherwise;
	}

	dry() {
		this.sounding = false;
		this.report();
		if (this.complete) {
			this.port.postMessage({ type: 'silent' });
			return 0;
		}
		this.underruns += 1;
		this.targetMs = Math.min(HIGHEST_TARGET_MS, this.targetMs + TARGET_STEP_MS);
		this.port.postMessage({ type: 'underrun', underruns: this.underruns, targetMs: this.targetMs });
		return this.fade();
	}

	drop(head) {
		this.position -= head.samples.length;
		this.queued -= head.samples.length;
		this.playedBytes += head.samples.length * 2;
		this.playedMs = head.ptsMs + (head.samples.length * 1000) / this.rate;
		this.moved = true;
		this.frames.shift();
	}

	report() {
		const { playedMs, queuedMs, targetMs, underruns, droppedMs, generation, moved } = this;
		this.port.postMessage({ type: 'report', bytes: this.playedBytes, playedMs, queuedMs, targetMs, underruns, droppedMs, generation, moved });
		this.playedBytes = 0;
		this.moved = false;
		this.sinceReport = 0;
	}
}

registerProcessor('jarvis-playout', Playout);
