// REST: every operation as a form, the response, the request as a curl command.

import { button, copy, empty, fill, h, missing, region, text } from './dom.js';
import { bytes, ms, pretty } from './format.js';
import { get } from './health.js';
import { RequestForm, asCurl } from './request.js';
import { tried } from './settings.js';

const METHODS = { get: 'good', post: 'busy', put: 'busy', patch: 'busy', delete: 'bad' };
const MOST_TEXT = 200_000;

export class RestView {
	operations = [];
	forms = new Map();
	words = '';

	constructor(session) {
		this.session = session;
		this.list = h('nav.operations', { aria: 'Operations' });
		this.detail = region('div.detail', 'The chosen operation');
		const search = h('input', { type: 'search', placeholder: 'Find an operation', aria: 'Find an operation', oninput: () => { this.words = search.value.toLowerCase(); this.#drawList(); } });
		this.element = h('section.view.split.rest', { aria: 'REST' }, h('div.side-list', h('div.bar-top.line', search), this.list), this.detail);
	}

	show() {
		if (!this.document) this.#load();
	}

	hide() {
		this.abort?.abort();
	}

	/** To one operation: `#rest/agent.intent`. */
	openLink(id) {
		this.linked = id;
		if (this.document) this.#pickLinked();
	}

	#pickLinked() {
		const named = (id) => this.operations.find(({ operation }) => operation.operationId === id);
		const found = named(this.linked);
		if (this.linked && !found) missing(`An operation called ${this.linked}`);
		this.#pick(found ?? this.chosen ?? named('agent.intent') ?? this.operations[0]);
	}

	async #load() {
		fill(this.detail, empty('rest', 'Reading the operations…'));
		try {
			this.document = await (await get('/openapi.json')).json();
		} catch (error) {
			fill(this.detail, empty('warn', 'The operations cannot be read', `${error.message}. Start the gateway, or wait until it is back.`, button('Try again', () => this.#load())));
			return;
		}
		this.operations = Object.entries(this.document.paths).flatMap(([path, item]) => Object.keys(METHODS).filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));
		this.#drawList();
		this.#pickLinked();
	}

	#drawList() {
		const groups = Map.groupBy(this.operations.filter((each) => this.#matches(each)), ({ operation }) => operation.tags?.[0] ?? '');
		fill(this.list, [...groups].map(([tag, items]) => [h('h2.tag', tag), h('ul', items.map((each) => h('li', this.#entry(each))))]));
		if (groups.size === 0) fill(this.list, h('p.soft', 'No operation is called that.'));
	}

	#matches({ path, operation }) {
		return !this.words || `${operation.operationId} ${path} ${operation.summary}`.toLowerCase().includes(this.words);
	}

	#entry(each) {
		const chosen = each === this.chosen;
		return h('button.operation', { type: 'button', 'aria-current': chosen ? 'true' : null, title: each.path, onclick: () => this.#pick(each) },
			h('span.method', { 'data-tone': METHODS[each.method] }, each.method === 'delete' ? 'DEL' : each.method.toUpperCase()), h('span.clip', each.operation.operationId));
	}

	#pick(each) {
		this.chosen = each;
		if (this.element.isConnected && location.hash.startsWith('#rest')) history.replaceState(null, '', `#rest/${each.operation.operationId}`);
		this.abort?.abort();
		const { path, method, operation } = each;
		const key = `${method} ${path}`;
		const form = this.forms.get(key) ?? new RequestForm(this.document, path, method, operation);
		this.forms.set(key, form);
		this.answer = h('div.stack', { 'aria-live': 'polite' });
		this.curl = region('pre.output.curl', 'As curl');
		form.onchange = () => this.#showCurl(form);
		const send = h('button.primary', 'Send');
		const body = h('form.card.stack', { onsubmit: (event) => { event.preventDefault(); this.#send(form, send); } },
			h('div', h('h2.big', operation.summary), h('p.mono.path', h('span.method', { 'data-tone': METHODS[method] }, method.toUpperCase()), ` ${path}`), (operation.description ?? '').split('\n\n').map((part) => h('p.soft', part.replaceAll('`', '')))),
			form.element, h('div.line', send, button('Copy as curl', () => copy(this.curl.textContent, 'Copied, with your token: paste it where nobody else reads.'), {}, 'copy')), h('details', h('summary', 'As curl'), this.curl));
		fill(this.detail, h('div.stack', body, this.answer));
		this.detail.scrollTop = 0;
		this.#drawList();
		this.#showCurl(form);
	}

	#prepare(form) {
		return form.prepare(location.origin, this.session.account.token);
	}

	#showCurl(form) {
		try {
			text(this.curl, asCurl(this.#prepare(form)));
		} catch (error) {
			text(this.curl, String(error));
		}
	}

	async #send(form, send) {
		this.abort?.abort();
		this.abort = new AbortController();
		send.disabled = true;
		fill(this.answer, h('p.soft', 'Waiting for the answer…'));
		const began = performance.now();
		try {
			await this.session.account.fresh();
			const { method, url, headers, body } = this.#prepare(form);
			const answer = await fetch(url, { method, headers, body, signal: this.abort.signal });
			await this.#show(answer, performance.now() - began, began);
		} catch (error) {
			const words = error instanceof SyntaxError ? `This is no JSON: ${error.message}` : 'The gateway cannot be reached. Is it running? Look at the connection above.';
			if (error.name !== 'AbortError') fill(this.answer, h('p.fault', words));
		}
		send.disabled = false;
	}

	async #show(answer, firstMs, began) {
		const tone = answer.status < 300 ? 'good' : answer.status < 500 ? 'warn' : 'bad';
		const facts = h('span.soft.num', `headers after ${ms(firstMs)}`);
		const body = h('div');
		const headers = [...answer.headers].map(([name, value]) => h('div', h('dt', name), h('dd', value)));
		fill(this.answer, h('section.card.stack', h('div.line', h('span.badge.big', { 'data-tone': tone, id: 'answer-status' }, String(answer.status)), facts, h('span.end'), limit(answer.headers)), body, h('details', h('summary', 'Headers'), h('dl.headers', headers))));
		this.answer.scrollIntoView({ block: 'nearest' });
		const size = await showBody(answer, body);
		text(facts, `${ms(performance.now() - began)}, ${bytes(size)}`);
	}
}

function limit(headers) {
	const most = Number(headers.get('x-ratelimit-limit'));
	const left = Number(headers.get('x-ratelimit-remaining'));
	if (!most) return null;
	const retry = headers.get('retry-after');
	const words = `${left} of ${most} requests left${retry ? `; again in ${retry} s` : ''}`;
	return h('span.limit.soft', words);
}

/** Gives its size. */
async function showBody(answer, box) {
	const type = (answer.headers.get('content-type') ?? '').split(';')[0];
	if (type === 'text/event-stream') return showStream(answer, box);
	const blob = await answer.blob();
	if (type.startsWith('audio/')) return showAudio(blob, box);
	const words = await blob.text();
	const shown = (type.endsWith('json') && tried(() => pretty(JSON.parse(words)))) || words;
	fill(box, blob.size > 0 ? h('pre.output.tall', { tabIndex: 0, id: 'answer-body', aria: 'Body' }, shown.slice(0, MOST_TEXT)) : h('p.soft', 'No body.'));
	return blob.size;
}

function showAudio(blob, box) {
	const src = URL.createObjectURL(blob);
	fill(box, h('audio', { controls: true, src, aria: 'The answer' }), h('a', { href: src, download: `answer.${blob.type.split('/')[1] ?? 'bin'}` }, 'Save'));
	return blob.size;
}

async function showStream(answer, box) {
	const shown = h('pre.output.tall', { tabIndex: 0, id: 'answer-body', aria: 'Events' });
	fill(box, shown);
	const decoder = new TextDecoder();
	let size = 0;
	for await (const chunk of answer.body) {
		size += chunk.length;
		shown.append(decoder.decode(chunk, { stream: true }));
		shown.scrollTop = shown.scrollHeight;
	}
	return size;
}
