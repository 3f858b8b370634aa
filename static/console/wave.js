// Pictures of sound: waves, and a spectrogram with marks over it, in mel bands.

import { on, sketch } from './dom.js';
import { MIX_HZ } from './recording.js';

const BANDS = 48;
const HIGHEST_HZ = 8_000;
const WINDOW_MS = 25;
const DEPTH_DB = 60; // below the loudest: nothing is drawn
const FAINTEST = 1e-3; // power of a band that is taken for silence

/** The loudest sample of each column. */
export function peaks(samples, columns) {
	const found = new Float32Array(columns);
	const each = Math.max(1, samples.length / columns);
	const stride = Math.max(1, Math.floor(each / (MIX_HZ / 100)));
	for (let column = 0; column < columns; column += 1) {
		const last = Math.min(samples.length, (column + 1) * each);
		for (let at = Math.floor(column * each); at < last; at += stride) found[column] = Math.max(found[column], Math.abs(samples[at]));
	}
	return found;
}

/** Yours from the middle up, the agent's down. */
export function drawWave({ pen, width, ratio, colour, ...all }, { you, agent }, height = all.height) {
	const middle = height / 2;
	pen.fillStyle = colour('--line');
	pen.fillRect(0, middle, width, ratio);
	for (const [levels, name, way] of [[you, '--you', -1], [agent, '--agent', 1]]) {
		pen.fillStyle = colour(name);
		const step = width / levels.length;
		levels.forEach((level, at) => { if (level > 0) pen.fillRect(at * step, middle, Math.max(1, step * 0.7), way * level * (middle - 2)); });
	}
}

/** What sounds now: the last seconds. */
export class Scope {
	constructor(canvas, voice) {
		this.canvas = canvas;
		this.voice = voice;
		this.said = new Float32Array(voice.heard.length);
		this.wave = new Float32Array(1024);
		on(voice, 'change', () => this.#run());
	}

	#run() {
		if (this.running || !(this.voice.isOn || this.voice.sounding > 0)) return;
		this.running = true;
		this.last = performance.now();
		requestAnimationFrame((now) => this.#tick(now));
	}

	#tick(now) {
		const steps = Math.min(10, Math.round((now - this.last) / 20));
		if (steps > 0) {
			this.last = now;
			this.#listen(steps);
			this.#draw();
		}
		this.running = this.voice.isOn || this.voice.sounding > 0;
		if (this.running) requestAnimationFrame((next) => this.#tick(next));
		else this.#clear();
	}

	#listen(steps) {
		let loudest = 0;
		if (this.voice.analyser) {
			this.voice.analyser.getFloatTimeDomainData(this.wave);
			for (const sample of this.wave) loudest = Math.max(loudest, Math.abs(sample));
		}
		this.said.copyWithin(0, steps);
		this.said.fill(loudest, this.said.length - steps);
	}

	#clear() {
		this.said.fill(0);
		this.voice.heard.fill(0);
		this.#draw();
	}

	#draw() {
		if (this.canvas.isConnected) drawWave(sketch(this.canvas), { you: this.voice.heard.map(Math.sqrt), agent: this.said.map(Math.sqrt) });
	}
}

/** Their middles, in Hz. */
export function bands(hz) {
	const top = 2595 * Math.log10(1 + Math.min(HIGHEST_HZ, hz / 2) / 700);
	return Array.from({ length: BANDS }, (_, band) => 700 * (10 ** (((band + 0.5) * top) / BANDS / 2595) - 1));
}

/** Power by column and band (Goertzel's way). */
export function powers(samples, hz, columns) {
	const size = Math.round((hz * WINDOW_MS) / 1000);
	const hann = Float32Array.from({ length: size }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / size));
	const turns = bands(hz).map((middle) => 2 * Math.cos((2 * Math.PI * middle) / hz));
	const found = new Float32Array(columns * BANDS);
	for (let column = 0; column < columns; column += 1) {
		const start = Math.max(0, Math.min(samples.length - size, Math.round((column * samples.length) / columns - size / 2)));
		turns.forEach((turn, band) => {
			let [one, two] = [0, 0];
			for (let at = 0; at < size; at += 1) {
				const next = hann[at] * (samples[start + at] ?? 0) + turn * one - two;
				two = one;
				one = next;
			}
			found[column * BANDS + band] = one * one + two * two - turn * one * two;
		});
	}
	return found;
}

/** From `top` down. */
export function drawSpectrum({ pen, width, height, ratio, colour }, samples, hz, top) {
	const columns = Math.ceil(width / (2 * ratio));
	const found = powers(samples, hz, columns);
	const loudest = found.reduce((most, power) => Math.max(most, power), FAINTEST);
	const tall = (height - top) / BANDS;
	pen.fillStyle = colour('--you');
	found.forEach((power, index) => {
		const strength = 1 + (10 * Math.log10(power / loudest)) / DEPTH_DB;
		if (strength <= 0) return;
		pen.globalAlpha = strength;
		pen.fillRect(Math.floor(index / BANDS) * 2 * ratio, height - ((index % BANDS) + 1) * tall, 2 * ratio, tall + 0.5);
	});
	pen.globalAlpha = 1;
}

/** Numbered lines: solid where a decision is about, dotted where it was told. */
export function drawMarks({ pen, height, ratio, colour }, marks) {
	Object.assign(pen, { fillStyle: colour('--ink'), strokeStyle: colour('--ink'), lineWidth: ratio, font: `${11 * ratio}px sans-serif` });
	const line = (x, dash) => {
		pen.setLineDash(dash);
		pen.beginPath();
		pen.moveTo(x, 0);
		pen.lineTo(x, height);
		pen.stroke();
	};
	marks.forEach(([about, told], index) => {
		line(about, []);
		if (told - about > 1) line(told, [2 * ratio, 3 * ratio]);
		pen.fillText(String(index + 1), about + 3 * ratio, (11 + (index % 8) * 12) * ratio);
	});
}
