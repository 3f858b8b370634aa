// System: services, sockets, sessions, latencies and limits of this gateway.

import { button, copy, empty, fill, h, on, region, rows, svg, toast } from './dom.js';
import { bytes, count, counted, ms, sentence } from './format.js';
import { EVERY_MS, KEPT_MS, get } from './health.js';
import { observe } from './observe.js';
import { histograms, sum } from './prometheus.js';

const SHORTEST_MS = 60_000; // that a line covers: a few seconds mean little
const STATS_EVERY = 3; // polls: it counts towards the rate limit
const WIDE = ['Services', 'Failed in this session', 'Live sessions'];
const NARROW = ['REST requests', 'Calls to services', 'Turns, by stage', 'Limits and closes'];
const CIRCUITS = { closed: 'good', open: 'bad', down: 'bad', half_open: 'warn' };

const seconds = (value) => ms(value && value * 1000);

export class SystemView {
	polls = 0;
	observed = new Map();

	constructor(session) {
		this.session = session;
		this.watch = session.health;
		on(this.watch, 'news', () => this.#onNews());
		on(this.watch, 'silent', (error) => this.#onSilence(error));
		this.tiles = h('div.tiles');
		this.tables = {};
		const card = (title) => h('section.card', h('h2', title), region('div.scroll', title, this.tables[title] = h('table', { aria: title })));
		this.fault = h('p.fault', { hidden: true });
		this.element = h('section.view.scrolling.system', { aria: 'System', tabIndex: 0 }, this.fault, this.tiles, WIDE.map(card), h('div.columns', NARROW.map(card)));
		fill(this.tiles, empty('system', 'Asking the gateway…'));
	}

	show() {
		if (this.watch.health) this.#onNews();
		this.watch.poll();
	}

	hide() {
		this.polls = 0;
	}

	async #onNews() {
		if (!this.element.isConnected) return;
		this.fault.hidden = true;
		try {
			if (this.polls++ % STATS_EVERY === 0) this.stats = await this.#askStats();
		} catch (error) {
			this.#onSilence(error);
		}
		this.#draw(this.watch.health, this.watch.metrics);
	}

	#onSilence(error) {
		fill(this.fault, `The gateway does not answer (${error.message}). Asking again every ${EVERY_MS / 1000} s; what is below is what it said last.`);
		this.fault.hidden = false;
	}

	async #askStats() {
		const { account, client } = this.session;
		if (!account.token) return client.call('ws.stats');
		const answer = await get('/ws/stats', { Authorization: `Bearer ${await account.fresh()}` });
		return answer.json();
	}

	#draw(health, metrics) {
		this.#drawTiles(health, metrics);
		this.#drawServices(health);
		this.#drawLive();
		this.#drawFailures();
		const latencies = (title, name, ...labels) => {
			const found = histograms(metrics, `api_gateway_${name}_seconds`, labels).filter((each) => each.count > 0).sort((a, b) => b.count - a.count);
			rows(this.tables[title], [...labels.map(sentence), 'count', 'p50', 'p95', 'p99'], found.map((each) => [...each.labels, count(each.count), ...[0.5, 0.95, 0.99].map((share) => seconds(each.quantile(share)))]), 'None yet.');
		};
		latencies('REST requests', 'request_duration', 'endpoint', 'method');
		latencies('Calls to services', 'grpc_call_duration', 'service', 'method');
		latencies('Turns, by stage', 'turn_stage', 'stage');
		this.#drawLimits(metrics);
	}

	#drawTiles(health, metrics) {
		const tile = (name, value, more = '', history) => h('div.tile.card', h('span.soft', name), h('strong', value), h('span.soft', more), history && spark(history, name));
		const { lag, requests, cpu, queue } = this.watch.history;
		const last = (series) => series.at(-1)?.value;
		const redis = health.redis ?? {};
		fill(this.tiles,
			tile('Gateway', health.status, `${health.version}, up ${ms((health.uptime_seconds ?? 0) * 1000)}`),
			tile('Sockets', count(health.sockets ?? 0), counted(health.sessions ?? 0, 'session')),
			tile('Requests', `${(last(requests) ?? 0).toFixed(1)}/s`, `${count(health.requests_running ?? 0)} running`, requests),
			tile('Event-loop lag', ms(last(lag)), 'now', lag),
			tile('CPU', `${Math.round(last(cpu) ?? 0)} %`, 'of one core', cpu),
			tile('Memory', bytes(sum(metrics, 'process_resident_memory_bytes')), 'resident'),
			tile('Send queues', bytes(last(queue) ?? 0), 'waiting', queue),
			tile('Redis', redis.status === 'up' && redis.reason ? 'none' : redis.status, redis.reason ?? ms(redis.latency_ms)));
	}

	#drawServices(health) {
		const list = Object.entries(health.services ?? {}).map(([name, service]) => [name, badge(service.status, service.status === 'up' ? 'good' : 'bad'), badge(`circuit ${service.circuit.replace('_', ' ')}`, CIRCUITS[service.circuit] ?? ''),
			strip(this.watch.circuits.get(name) ?? [], name), ms(service.latency_ms), String(service.running_calls ?? 0), service.changed_at ? new Date(service.changed_at).toLocaleTimeString() : '', service.engine ?? '', service.reason ?? '']);
		rows(this.tables.Services, ['Service', 'Health', 'Breaker', 'Ten minutes', 'Answers in', 'Calls now', 'Since', 'Engine', 'Why'], list, 'No services.');
	}

	/** A turn's id is the x-request-id of its calls. */
	#drawFailures() {
		const failed = ({ errors, steps }) => [...errors, ...[...steps.values()].filter(({ status }) => status === 'failed').map(({ name, message }) => ({ code: name, message }))];
		const list = this.session.trace.turns.list.flatMap((turn) => failed(turn).map(({ code, message }) => [code, message, turn.id && button(turn.id, () => copy(turn.id), { title: 'Copy' }, 'copy'), button(turn.text || 'Its turn', () => this.session.showTurn(turn), {}, 'turns')]));
		rows(this.tables['Failed in this session'], ['What', 'What it said', 'x-request-id', 'Turn'], list, 'Nothing has failed.');
	}

	#drawLive() {
		const list = (this.stats?.live ?? []).map((live) => [live.session_id, live.user_id, badge(live.connected ? 'connected' : 'away', live.connected ? 'good' : 'warn'), live.channels.join(', ') || '–', `${bytes(live.bytes_received)} / ${bytes(live.bytes_sent)}`,
			live.session_id === this.session.client.sessionId ? 'this one' : button('Observe', () => this.#observe(live.session_id), {}, 'eye')]);
		rows(this.tables['Live sessions'], ['Session', 'User', 'Socket', 'Channels', 'In / out', 'Look'], list, this.stats ? 'No live sessions.' : 'Not known yet.');
	}

	#observe(sessionId) {
		const running = this.observed.get(sessionId);
		const trace = running?.stop ? running : observe(this.session.client, sessionId, (why, seen) => {
			toast(`${sessionId} cannot be observed: ${why}`, 'bad');
			if (!seen) this.session.forget(trace);
		});
		this.observed.set(sessionId, trace);
		this.session.look(trace);
		location.hash = '#wire';
	}

	#drawLimits(metrics) {
		const list = [];
		const add = (name, metric, label = (labels) => Object.values(labels).join(' ')) => {
			for (const { labels, value } of metrics.get(`api_gateway_${metric}`) ?? []) if (value > 0) list.push([name, label(labels), count(value)]);
		};
		add('Rate limit', 'rate_limit_decisions_total', ({ result, backend }) => `${result} (${backend})`);
		add('Sign-in refused', 'auth_failures_total');
		add('Socket closed', 'ws_closes_total');
		add('Resume', 'ws_resumes_total');
		add('Dropped', 'ws_dropped_total');
		add('Redis errors', 'redis_errors_total', () => '');
		rows(this.tables['Limits and closes'], ['What', 'Which', 'count'], list, 'Nothing was limited or closed.');
	}
}

const badge = (words, tone) => h('span.badge', { 'data-tone': tone }, words);

/** Maps times to 0 to 100, over the last ten minutes or what there is of them. */
function places(list) {
	const now = list.at(-1)?.at ?? 0;
	const span = Math.min(KEPT_MS, Math.max(SHORTEST_MS, now - (list[0]?.at ?? now)));
	return (at) => 100 - ((now - at) / span) * 100;
}

const chart = (kind, label, ...parts) => svg('svg', { viewBox: '0 0 100 24', preserveAspectRatio: 'none', class: kind, role: 'img', 'aria-label': label }, ...parts);

function spark(series, label) {
	const place = places(series);
	const most = Math.max(...series.map(({ value }) => value), 1e-9);
	const points = series.map(({ at, value }) => `${place(at).toFixed(1)},${(22 - (value / most) * 20).toFixed(1)}`).join(' ');
	return chart('spark', `${label}, the last ten minutes`, svg('polyline', { points, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5, 'vector-effect': 'non-scaling-stroke' }));
}

function strip(list, name) {
	const place = places(list);
	const parts = list.filter(({ state }, index) => index === 0 || list[index - 1].state !== state);
	const bars = parts.map(({ at, state }, index) => svg('rect', { x: place(at), y: 4, height: 16, width: Math.max(1, place(parts[index + 1]?.at ?? list.at(-1).at) - place(at)), 'data-tone': CIRCUITS[state] }));
	const words = parts.map(({ state }) => state.replace('_', ' ')).join(', then ');
	return chart('strip', `${name}, the last ten minutes: ${words}`, ...bars);
}
