// A bad network: a socket whose messages are held up, both ways.

/** In milliseconds, percent of messages, and seconds. */
export const network = { delay: 0, jitter: 0, loss: 0, cut: 0 };
const RESENT_AFTER_MS = 200; // TCP's shortest wait for a lost packet

/** When what leaves now arrives. TCP keeps the order: all behind a lost packet waits for it. `before`: its arrival. */
export function arrival(now, before, { delay, jitter, loss }, random = Math.random) {
	const lost = random() * 100 < loss;
	return Math.max(before, now + delay + random() * jitter + (lost ? RESENT_AFTER_MS + 2 * delay : 0));
}

/** What JarvisClient takes in place of the browser's WebSocket. */
export class BadSocket extends (globalThis.WebSocket ?? Object) {
	#ways = { in: { due: 0, waiting: [] }, out: { due: 0, waiting: [] } };

	#later(way, act) {
		const now = performance.now();
		way.due = arrival(now, way.due, network);
		if (way.due <= now && way.waiting.length === 0) { act(); return; }
		way.waiting.push(act);
		setTimeout(() => way.waiting.shift()(), way.due - now); // the oldest: timers are too coarse to keep the order
	}

	send(data) {
		this.#later(this.#ways.out, () => { if (this.readyState < 2) super.send(data); }); // or closed
	}

	set onmessage(act) {
		super.onmessage = (event) => this.#later(this.#ways.in, () => act(event));
	}
}
