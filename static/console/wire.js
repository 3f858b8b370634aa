// Every message and frame, the newest last. Only so many rows are kept on the page.

import { element } from './turns.js';

const MOST_ROWS = 300;

export class WireView {
  #counts = { in: 0, out: 0, audioIn: 0, audioOut: 0 };

  /** @param {HTMLElement} list @param {HTMLElement} counts */
  constructor(list, counts) {
    this.list = list;
    this.counts = counts;
    this.waiting = [];
  }

  /** @param {{direction: 'in' | 'out', message: object | null, bytes?: Uint8Array}} event */
  add({ direction, message, bytes }) {
    if (message) {
      this.#counts[direction] += 1;
      if (message.type !== 'playback') this.waiting.push([direction, message]);
    } else {
      this.#counts[direction === 'in' ? 'audioIn' : 'audioOut'] += bytes.byteLength;
    }
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const follow = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    for (const [direction, message] of this.waiting.splice(0)) {
      const row = element('li', direction, `${message.type} ${JSON.stringify({ ...message, type: undefined })}`.slice(0, 400));
      row.title = row.textContent;
      this.list.append(row);
    }
    while (this.list.childElementCount > MOST_ROWS) this.list.firstElementChild.remove();
    const { in: received, out, audioIn, audioOut } = this.#counts;
    this.counts.textContent = `${received} in, ${out} out, audio ${kib(audioOut)} up, ${kib(audioIn)} down`;
    if (follow) this.list.scrollTop = this.list.scrollHeight;
  }
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(0)} KiB`;
}
