// Wire: every message and frame, the channels, sending by hand, cutting the socket.

import { button, choices, copy, empty, fill, h, missing, on, onceAFrame, pictureButton, region, rows, select, sourcePicker, text } from './dom.js';
import { compiled } from './filter.js';
import { bytes, clockMs, count, counted, hexdump, ms, pretty } from './format.js';
import { asJavaScript, asPython } from './snippets.js';
import { Timeline } from './timeline.js';
import { Trace } from './trace.js';
import { VirtualList } from './virtual.js';

const ROW_HEIGHT = 24;
const ARROWS = { in: '↓', out: '↑', local: '·' };
const CELLS = ['time', 'delta', 'arrow', 'chan', 'type', 'sum', 'size'];
const OFFERED = ['way:in', 'way:out', 'way:local'];
const HOUSEKEEPING = new Set(['ack', 'credit', 'playback', 'ping', 'pong']);
const AWAY_MS = 5_000;
const TAKE_MS = 4; // per frame: while 50,000 records are filtered, the page stays smooth
const LOOK_EVERY = 256; // records between two clock checks

export class WireView {
	filter = { words: '', audio: false, housekeeping: false };
	/** Indexes of records that pass the filter, as shown. */ passing = [];
	/** Of the newest filter: shown when all records have been seen. */ found = this.passing;
	seen = 0;
	/** The number of the first record that a pause does not show; null: no pause. */ pausedAt = null;
	test = compiled('');
	offered = -1;
	boxes = [];

	constructor(session) {
		this.session = session;
		this.list = new VirtualList({ label: 'Messages, newest last', rowHeight: ROW_HEIGHT, render: (index, row) => this.#render(index, row) });
		on(this.list, 'pick', () => this.#detail());
		this.draw = onceAFrame(() => this.#take());
		this.again = () => this.#begin();
		this.detail = h('aside.wire-detail', { aria: 'The chosen message', hidden: true });
		this.none = empty('wire', 'Nothing on the wire', 'Every message and audio frame of the session appears here as it is sent or received.');
		this.filtered = empty('wire', 'Nothing is left to show', button('Show everything', () => this.#showAll()));
		this.table = h('table.channels');
		this.timeline = new Timeline(() => this.#restart());
		this.total = h('span.soft.num.end');
		this.element = h('section.view.wire', { aria: 'Wire', onkeydown: (event) => { if (event.key === 'Escape' && !this.detail.hidden) this.#close(); } }, this.#tools(), this.timeline.element, region('div.channel-strip', 'Channels', this.table),
			h('div.wire-body', h('div.wire-list', this.none, this.filtered, this.list.element), this.detail), this.#composer());
		this.ofSocket.push(this.element.lastChild);
		on(session, 'source', () => this.#attach());
		this.#attach();
	}

	// --- filter

	#tools() {
		const change = (name) => (value) => { this.filter[name] = value; this.#restart(); };
		const words = h('input', { type: 'search', list: 'wire-words', placeholder: 'Filter: words, type:turn, channel:3, way:in, -not, /regex/', aria: 'Filter by text', title: 'All have to hold. type:turn: types that begin so; way:in, out or local; -word: not that; /got? it/: a regular expression', oninput: () => change('words')(words.value) });
		const check = (name, label) => {
			const box = h('input', { type: 'checkbox', checked: this.filter[name], onchange: () => change(name)(box.checked) });
			this.boxes.push(box);
			return h('label.check', box, label);
		};
		const cut = button('Cut', () => this.session.client.cut(), { id: 'cut', title: 'Drop the socket, and watch the session resume' }, 'cut');
		const away = button('Cut for 5 s', () => this.session.client.cut(AWAY_MS), { title: 'Drop the socket, and come back later' });
		this.ofSocket = [cut, away];
		const clear = button('Clear', () => { this.trace.cleared = this.trace.end; history.replaceState(null, '', '#wire'); this.#restart(); }, { id: 'clear', title: 'Hide what came so far; recordings keep it' });
		this.pause = button('Pause', () => this.#pause(), { id: 'pause', 'aria-pressed': 'false', title: 'Stand still; what comes meanwhile is not lost' });
		this.search = words;
		this.words = h('datalist', { id: 'wire-words' });
		return h('div.bar-top.line', sourcePicker(this.session), words, this.words, check('audio', 'audio'), check('housekeeping', 'housekeeping'), this.total, clear, this.pause, cut, away);
	}

	#pause(paused = this.pausedAt === null) {
		this.pausedAt = paused ? this.trace.end : null;
		this.pause.setAttribute('aria-pressed', paused);
		text(this.pause, paused ? 'Go on' : 'Pause');
		this.draw();
	}

	#showAll() {
		this.trace.cleared = 0;
		this.filter = { words: '', audio: true, housekeeping: true };
		this.search.value = '';
		this.timeline.select(null);
		for (const box of this.boxes) box.checked = true;
		this.#restart();
		this.list.element.focus();
	}

	#attach() {
		this.trace?.removeEventListener('record', this.draw);
		this.trace?.removeEventListener('forgotten', this.again);
		this.trace = this.session.source;
		this.#pause(false);
		this.trace.addEventListener('record', this.draw);
		this.trace.addEventListener('forgotten', this.again);
		this.offered = -1;
		this.timeline.range = null;
		const elsewhere = this.trace !== this.session.trace; // nothing to cut, and nowhere to send
		for (const each of this.ofSocket) each.hidden = elsewhere;
		this.#begin();
	}

	/** The rows shown are of other records. */
	#begin() {
		this.passing = [];
		this.list.update(0, true);
		this.#restart();
	}

	#restart() {
		try {
			this.test = compiled(this.filter.words);
			this.search?.setCustomValidity('');
		} catch (error) { // unfinished or refused; keep the rows
			this.search.setCustomValidity(error.message);
			this.search.reportValidity();
			return;
		}
		this.found = [];
		this.seen = 0;
		this.draw();
	}

	/** What is asked for by name is never left out. */
	#named(type) {
		return this.test.types.some((each) => type.startsWith(each));
	}

	#passes(record) {
		const { audio, housekeeping } = this.filter;
		const { range } = this.timeline;
		if (record.n < this.trace.cleared || (range && (record.at < range[0] || record.at > range[1]))) return false;
		const isLeftOut = (record.isSound && !audio) || (!housekeeping && HOUSEKEEPING.has(record.type));
		return !(isLeftOut && !this.#named(record.type)) && this.test(record);
	}

	#take() {
		if (!this.element.isConnected) return;
		const { records, forgotten } = this.trace;
		const end = Math.min(records.length, (this.pausedAt ?? Infinity) - forgotten);
		const until = performance.now() + TAKE_MS;
		for (; this.seen < end; this.seen += 1) {
			if (this.seen % LOOK_EVERY === 0 && performance.now() > until) { this.draw(); break; }
			if (this.#passes(records[this.seen])) this.found.push(this.seen);
		}
		const anew = this.found !== this.passing;
		if (anew && this.seen < end) return; // the earlier rows stay: to lay out each part costs frames
		if (anew) {
			this.passing = this.found;
			this.list.picked = -1;
			this.detail.hidden = true;
		}
		this.#offer(this.trace.kinds);
		this.none.hidden = records.length > 0;
		this.filtered.hidden = records.length === 0 || this.passing.length > 0;
		this.list.element.hidden = this.passing.length === 0;
		text(this.total, `${count(this.passing.length)} of ${count(forgotten + end)}`);
		this.list.update(this.passing.length, anew);
		if (this.seen === end) this.#strips();
		this.#pickLinked(); // below what the strips need
	}

	#offer(kinds) {
		if (this.offered === kinds.size) return;
		this.offered = kinds.size;
		fill(this.words, choices([...OFFERED, ...kinds].sort().map((word) => [word])));
	}

	// --- rows

	#record(index) {
		return this.trace.records[this.passing[index]];
	}

	#render(index, row) {
		const record = this.#record(index);
		if (!record) return;
		row.dataset.direction = record.direction;
		row.dataset.bad = record.type === 'error' || ['error', 'failed'].includes(record.message?.status);
		const before = this.#record(index - 1);
		const cells = [clockMs(record.at), before ? `+${ms(record.at - before.at)}` : '', ARROWS[record.direction], record.channel ?? '', record.type, Trace.summary(record), record.size ? bytes(record.size) : ''];
		if (!row.firstChild) row.append(...CELLS.map((name) => h(`span.${name}`, { title: name === 'delta' ? 'since the row above' : '' })));
		cells.forEach((cell, at) => { row.children[at].textContent = cell; });
		row.children[4].title = record.type;
	}

	#detail() {
		const record = this.#record(this.list.picked);
		this.detail.hidden = !record;
		if (!record) return;
		const shown = record.message ?? { ...record.frame, channel: record.channel };
		const as = (form, words) => () => copy(words(shown), `Copied as ${form}.`);
		const code = record.direction === 'out' && record.message ? [['Python', asPython], ['JavaScript', asJavaScript]].map(([form, words]) => button(form, as(form, words), { title: `Copy as ${form}` })) : [];
		const turn = this.trace.turns.of(record);
		history.replaceState(null, '', `#wire/${record.n}`);
		fill(this.detail, h('div.line', h('h2.mono', record.type), h('span.end'), pictureButton('cross', 'Close', () => this.#close())), h('div.line', button('Copy', as('JSON', pretty), { title: 'Copy as JSON' }, 'copy'), code, record.type === 'call' ? button('Its operation', () => { location.hash = `#rest/${shown.op}`; }, {}, 'rest') : null, turn ? button('Its turn', () => this.session.showTurn(turn), {}, 'turns') : null),
			h('p.soft.num', `${{ in: 'received', out: 'sent', local: 'seen by this page' }[record.direction]} at ${clockMs(record.at)}${record.size ? `, ${bytes(record.size)}` : ''}`),
			region('pre.output.tall', 'The message', pretty(shown)),
			record.bytes ? region('pre.output', 'Its bytes', hexdump(record.bytes)) : null);
	}

	#close() {
		this.detail.hidden = true;
		this.list.element.focus();
	}

	/** To one message: `#wire/123`. */
	openLink(number) {
		const at = this.trace.records.findIndex(({ n }) => n === Number(number));
		if (at < 0) {
			missing(`Message ${number}`);
			return;
		}
		if (!this.#passes(this.trace.records[at])) this.#showAll();
		this.linked = at;
		this.draw();
	}

	#pickLinked() {
		const row = this.linked === undefined ? -1 : this.passing.indexOf(this.linked);
		if (row < 0) return;
		this.linked = undefined;
		this.list.follow = false;
		this.list.pick(row);
	}

	// --- time and channels

	#strips() {
		this.timeline.draw(this.trace, Math.max(0, this.trace.cleared - this.trace.forgotten));
		this.#channelTable();
	}

	#channelTable() {
		const { client } = this.session;
		const live = this.trace === this.session.trace;
		const open = live ? client.channels : [];
		const head = ['channel', 'kind', 'credit', 'to be taken', 'waiting', 'generation', 'lost'];
		const list = open.map((channel) => [channel.number, channel.kind, bytes(channel.credit), bytes(channel.keptBytes), counted(channel.waitingFrames, 'frame'), channel.generation, bytes(channel.lostBytes)]);
		const caption = live ? `seq ${client.lastSeq} received · ${counted(client.pendingCommands, 'command')} kept until acknowledged · ${open.length === 0 ? 'no open channels' : `${open.length} open`}` : 'Nothing is sent here';
		rows(this.table, head, list, caption, caption);
	}

	// --- by hand

	#composer() {
		const words = h('textarea', { rows: 7, spellcheck: false, onkeydown: (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send(); }, value: pretty({ type: 'call', op: 'agent.intent', params: { text: 'what time is it' } }), aria: 'Message as JSON' });
		const fault = h('p.hint', { role: 'status' });
		const template = select([], '', (value) => { words.value = value; text(fault, ''); });
		const load = async () => { if (template.length === 0) fill(template, choices(await examples())).value = words.value; };
		const send = () => {
			try {
				this.#send(JSON.parse(words.value));
				text(fault, 'Sent. The answer appears above.');
			} catch (error) {
				text(fault, error instanceof SyntaxError ? `This is no JSON: ${error.message}` : String(error));
			}
		};
		return h('details.composer', { ontoggle: load }, h('summary', 'Send a message by hand'), h('div.stack', h('div.line', h('label.line', h('span.soft', 'Template'), template), button('Send', send, { selector: 'button.primary', title: 'Ctrl+Enter' }, 'send'), fault), words));
	}

	/** The client opens channels, as it numbers them; all else is sent unchanged. */
	#send(message) {
		const { client, voice } = this.session;
		if (message.type === 'channel.open') this.#open(client, voice, message);
		else if (message.type === 'call') client.call(message.op, message.params ?? {}).catch(() => undefined);
		else client.send(message);
	}

	async #open(client, voice, { kind, params = {} }) {
		const speaks = kind === 'tts' || kind === 'turn';
		if (speaks) await voice.loud();
		const channel = client.open(kind, params);
		if (speaks) voice.hear(channel);
	}

	show() {
		this.#restart();
		this.list.follow = this.linked === undefined;
		this.timer = setInterval(() => { if (this.pausedAt === null) this.#strips(); }, 500);
	}
}

/** One of each command in `/asyncapi.json`, without what the client numbers. */
async function examples() {
	const answer = await fetch('/asyncapi.json').then((found) => found.json()).catch(() => ({ components: { messages: {} } }));
	const commands = Object.entries(answer.components.messages).filter(([key]) => key.startsWith('client.'));
	return commands.map(([, { name, examples: [{ payload: { id, seq, ...payload } }] }]) => [pretty(payload), `${name} ${payload.kind ?? ''}`]);
}
