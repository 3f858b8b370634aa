// Loudspeaker: a jitter buffer of 16-bit PCM, resampled to the context's rate, and a report of what was played.

const START_MS = 60; // buffered before an utterance begins to sound: rides out the network's jitter
const REPORT_MS = 100;

class Playout extends AudioWorkletProcessor {
  constructor() {
    super();
    this.rate = 16_000;
    this.underruns = 0;
    this.flush();
    this.port.onmessage = ({ data }) => this[data.type](data);
  }

  flush() {
    this.frames = [];
    this.position = 0;
    this.queued = 0;
    this.sounding = false;
    this.playedBytes = 0;
    this.playedMs = 0;
    this.sinceReport = 0;
  }

  begin({ sampleRate: rate }) {
    this.rate = rate;
    this.playedMs = 0;
  }

  frame({ pcm, ptsMs }) {
    const samples = new Int16Array(pcm);
    this.frames.push({ samples, ptsMs });
    this.queued += samples.length;
  }

  get queuedMs() {
    return ((this.queued - this.position) * 1000) / this.rate;
  }

  process(_inputs, [[output]]) {
    if (!this.sounding && this.queuedMs >= START_MS) this.sounding = true;
    const step = this.rate / sampleRate;
    for (let index = 0; index < output.length; index += 1) output[index] = this.sounding ? this.next(step) : 0;
    this.sinceReport += (output.length * 1000) / sampleRate;
    if (this.sinceReport >= REPORT_MS && this.playedBytes > 0) this.report();
    return true;
  }

  /** One output sample, between its two neighbours. */
  next(step) {
    const head = this.frames[0];
    if (!head) {
      this.sounding = false;
      this.underruns += 1;
      this.report();
      return 0;
    }
    const at = Math.floor(this.position);
    const here = head.samples[at];
    const there = at + 1 < head.samples.length ? head.samples[at + 1] : (this.frames[1]?.samples[0] ?? here);
    const value = here + (there - here) * (this.position - at);
    this.position += step;
    if (this.position >= head.samples.length) this.drop(head);
    return value / 0x8000;
  }

  drop(head) {
    this.position -= head.samples.length;
    this.queued -= head.samples.length;
    this.playedBytes += head.samples.length * 2;
    this.playedMs = head.ptsMs + (head.samples.length * 1000) / this.rate;
    this.frames.shift();
  }

  report() {
    this.port.postMessage({
      bytes: this.playedBytes, playedMs: this.playedMs, queuedMs: this.queuedMs, underruns: this.underruns,
    });
    this.playedBytes = 0;
    this.sinceReport = 0;
  }
}

registerProcessor('jarvis-playout', Playout);
