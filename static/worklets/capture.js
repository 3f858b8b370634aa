// Microphone: the context's float samples become 16-bit PCM, 20 ms a message.

const FRAME_MS = 20;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = (sampleRate * FRAME_MS) / 1000;
    this.frame = new Int16Array(this.size);
    this.filled = 0;
    this.loudest = 0;
  }

  process([input]) {
    for (const sample of input[0] ?? []) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.loudest = Math.max(this.loudest, Math.abs(clipped));
      this.frame[this.filled] = clipped * 0x7fff;
      this.filled += 1;
      if (this.filled === this.size) this.send();
    }
    return true;
  }

  send() {
    const pcm = this.frame.buffer;
    this.port.postMessage({ pcm, level: this.loudest }, [pcm]);
    this.frame = new Int16Array(this.size);
    this.filled = 0;
    this.loudest = 0;
  }
}

registerProcessor('jarvis-capture', Capture);
