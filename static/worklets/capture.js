// Microphone: converts the context's float samples to 16-bit PCM, 20 ms per message.

const FRAME_MS = 20;

class Capture extends AudioWorkletProcessor {
	constructor() {
		super();
		this.size = Math.round((sampleRate * FRAME_MS) / 1000);
		this.begin();
	}

	begin() {
		this.frame = new Int16Array(this.size);
		this.filled = 0;
		this.loudest = 0;
	}

	process([input]) {
		const samples = input[0];
		if (samples) for (let index = 0; index < samples.length; index += 1) this.take(samples[index]);
		else for (let index = 0; index < 128; index += 1) this.take(0); // the source has ended; silence lets the recogniser end the last word
		return true;
	}

	take(sample) {
		const clipped = Math.max(-1, Math.min(1, sample));
		this.loudest = Math.max(this.loudest, Math.abs(clipped));
		this.frame[this.filled] = clipped * 0x7fff;
		this.filled += 1;
		if (this.filled === this.size) this.send();
	}

	send() {
		const pcm = this.frame.buffer;
		this.port.postMessage({ pcm, level: this.loudest, at: Date.now() }, [pcm]);
		this.begin();
	}
}

registerProcessor('jarvis-capture', Capture);
