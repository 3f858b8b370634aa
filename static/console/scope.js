// Draws two seconds of audio: the microphone from above, the reply from below.

import { on, sketch } from './dom.js';
import { drawWave } from './wave.js';

export class Scope {
	constructor(canvas, voice) {
		this.canvas = canvas;
		this.voice = voice;
		this.said = new Float32Array(voice.heard.length);
		this.wave = new Float32Array(1024);
		this.running = false;
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
