// State of gateway and services, with ten minutes of history. Events: `news`, `silent` (an Error).

import { parse, sum } from './prometheus.js';

export const EVERY_MS = 2_000;
export const KEPT_MS = 600_000;

export class Health extends EventTarget {
	health = null;
	metrics = new Map();
	/** Oldest first: `at`, of performance.now(), and `value`. */ history = { lag: [], requests: [], cpu: [], queue: [] };
	/** Of each service: `at`, and `state`: `closed`, `half_open`, `open`, `down`. */ circuits = new Map();

	start() {
		this.poll();
		this.timer = setInterval(() => this.poll(), EVERY_MS);
	}

	stop() {
		clearInterval(this.timer);
	}

	async poll() {
		if (document.hidden) return;
		try {
			const [health, metrics] = await Promise.all([get('/health').then((answer) => answer.json()), get('/metrics').then((answer) => answer.text())]);
			this.health = health;
			this.metrics = parse(metrics);
			this.#remember(performance.now());
			this.dispatchEvent(new Event('news'));
		} catch (error) {
			this.dispatchEvent(new CustomEvent('silent', { detail: error }));
		}
	}

	get troubled() {
		return Object.entries(this.health?.services ?? {}).filter(([, { status, circuit }]) => status !== 'up' || circuit === 'open')
			.map(([name, { status, reason }]) => ({ name, why: reason || (status === 'up' ? 'its circuit is open' : 'it does not answer') }));
	}

	#remember(now) {
		const requests = sum(this.metrics, 'api_gateway_requests_total');
		const cpu = sum(this.metrics, 'process_cpu_seconds_total');
		const { before } = this;
		const passed = before ? (now - before.now) / 1000 : 0;
		if (!before || passed > 1) this.before = { now, requests, cpu };
		keep(this.history.lag, { at: now, value: this.health.event_loop_lag_ms ?? 0 });
		keep(this.history.queue, { at: now, value: sum(this.metrics, 'api_gateway_ws_send_queue_bytes') });
		if (passed > 1) {
			keep(this.history.requests, { at: now, value: Math.max(0, requests - before.requests) / passed });
			keep(this.history.cpu, { at: now, value: (Math.max(0, cpu - before.cpu) / passed) * 100 });
		}
		for (const [name, { status, circuit }] of Object.entries(this.health.services ?? {})) {
			if (!this.circuits.has(name)) this.circuits.set(name, []);
			keep(this.circuits.get(name), { at: now, state: status === 'up' ? circuit : 'down' });
		}
	}
}

function keep(list, point) {
	list.push(point);
	while (list[0].at < point.at - KEPT_MS) list.shift();
}

export async function get(path, headers = {}) {
	const answer = await fetch(path, { headers });
	if (!answer.ok && path !== '/health') throw new Error(`${path} answers ${answer.status}`);
	return answer;
}
