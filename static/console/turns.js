// Turns: the last fifty as bars on a time axis, what each did, and statistics.

import { Conversation } from './conversation.js';
import { button, copy, empty, fill, h, missing, on, onceAFrame, region, sourcePicker, text } from './dom.js';
import { ms, pretty } from './format.js';
import { done, waited } from './stages.js';
import { drawWaterfall, stageTables } from './waterfall.js';

const MOST_TURNS = 50;

export class TurnsView {
	picked = null;
	/** In detail, and its version. */ shownTurn = null;

	constructor(session) {
		this.session = session;
		this.draw = onceAFrame(() => this.#draw());
		this.list = h('div.turnlist', { role: 'listbox', aria: 'Turns, newest first', tabIndex: 0, onkeydown: (event) => this.#onKey(event) });
		this.detail = region('div.detail', 'The chosen turn');
		this.compare = region('div.compare', 'Stages compared');
		this.element = h('section.view.split', { aria: 'Turns' },
			h('div.side-list', sourcePicker(session), this.list, this.compare), this.detail);
		this.#parts();
		on(session, 'source', () => this.#attach());
		this.#attach();
	}

	#parts() {
		this.heading = h('h2.big.two-lines');
		this.bars = h('div.waterfall.wide');
		this.holder = h('div.one-turn');
		this.server = h('dl.chips');
		this.facts = h('div.facts');
		this.none = empty('turns', 'No turns yet', 'Speak or type in Talk: each turn appears here with the time of each of its stages.');
		const wire = button('On the wire', () => this.#toWire(), { title: 'Its first message' }, 'wire');
		const lab = button('In the Lab', () => { location.hash = `#lab/${this.#chosen.key}`; }, { title: 'Why it ended when it did; ask it another way' }, 'lab');
		this.one = h('div.stack', h('section.card', h('div.line', this.heading, h('span.end'), wire, lab), this.bars, this.server), this.holder, this.facts);
	}

	#attach() {
		this.log?.listeners.delete(this.draw);
		this.log = this.session.source.turns;
		this.log.listeners.add(this.draw);
		this.picked = null;
		this.shownTurn = null;
		this.draw();
	}

	pick(turn) {
		this.picked = turn;
		history.replaceState(null, '', `#turns/${turn.key}`);
		this.draw();
	}

	/** To one turn: `#turns/3`. */
	openLink(key) {
		const turn = this.log?.list.find((each) => each.key === Number(key));
		if (turn) this.picked = turn;
		else missing(`Turn ${key}`);
		this.draw();
	}

	get turns() {
		return (this.log?.list ?? []).slice(-MOST_TURNS).reverse();
	}

	get #chosen() {
		return this.picked ?? this.turns[0];
	}

	/** To its first message, or to what ended one of its stages. */
	#toWire(at) {
		const turn = this.#chosen;
		const own = this.session.source.records.filter((record) => record.channel === turn.channel && record.at >= (turn.askedAt ?? 0));
		const found = at === undefined ? own.find(({ message }) => turn.id && message?.turn_id === turn.id) ?? own[0] : own.find((record) => record.at >= at);
		if (found) location.hash = `#wire/${found.n}`;
	}

	#onKey(event) {
		const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (!way) return;
		event.preventDefault();
		const { turns } = this;
		const at = turns.indexOf(this.#chosen);
		this.pick(turns[Math.max(0, Math.min(turns.length - 1, at + way))]);
	}

	#draw() {
		if (!this.element.isConnected) return;
		const { turns } = this;
		const longest = Math.max(500, ...turns.map((turn) => waited(turn) ?? 0));
		fill(this.list, turns.map((turn) => this.#row(turn, longest)));
		this.compare.hidden = turns.length === 0;
		fill(this.compare, stageTables(turns));
		if (turns.length === 0) {
			fill(this.detail, this.none);
			return;
		}
		if (this.one.parentElement !== this.detail) fill(this.detail, this.one);
		this.#one(this.#chosen);
	}

	#row(turn, longest) {
		const total = waited(turn);
		const zero = turn.askedAt;
		const pieces = done(turn).filter((span) => span.end > zero);
		const bars = pieces.map((span) => h('i.bar', { 'data-tone': span.tone, style: { left: `${((span.start - zero) / longest) * 100}%`, width: `${((span.end - span.start) / longest) * 100}%` } }));
		const words = turn.text || '…';
		return h('div.turn-row', { role: 'option', 'aria-selected': turn === this.#chosen, onclick: () => this.pick(turn) },
			h('span.clip', words), h('span.soft.num', total === null ? turn.status || (turn.waits ? 'waits' : '…') : ms(total)), h('div.mini', { 'aria-hidden': 'true' }, bars));
	}

	#one(turn) {
		text(this.heading, turn.text || '…');
		drawWaterfall(this.bars, turn, this.session.source === this.session.trace ? this.session.trace.now : turn.marks.done ?? 0, (span) => this.#toWire(span.end));
		const stages = Object.entries(turn.latency ?? {});
		fill(this.server, turn.id && turn.channel !== 'openai' && [h('dt', 'x-request-id of its calls'), h('dd', button(turn.id, () => copy(turn.id), { selector: 'button.foot.mono', title: 'Copy: services get it as x-request-id, and the audit log names it' }))], stages.length > 0 ? h('dt', 'The gateway’s own measure') : null, stages.map(([name, value]) => h('dd', `${name.replace('_', ' ')} `, h('b', ms(value)))));
		if (this.shownTurn?.[0] === turn && this.shownTurn[1] === turn.version) return;
		this.shownTurn = [turn, turn.version];
		this.#card(turn);
		this.#facts(turn);
	}

	/** Its entry in the conversation: results, screenshots, output. */
	#card(turn) {
		if (this.card?.log.list[0] !== turn) {
			this.card?.leave();
			this.card = new Conversation({ list: [turn], listeners: new Set() }, (...answer) => this.session.confirm(...answer));
			fill(this.holder, h('section.card', this.card.list));
		}
		this.card.listener(turn);
	}

	#facts(turn) {
		const open = new Set([...this.facts.querySelectorAll('details[open]')].map((each) => each.dataset.name));
		const fact = (name, value) => value && h('details.card', { 'data-name': name, open: open.has(name) }, h('summary', h('h2', name)), h('pre.output', { tabIndex: 0 }, pretty(value)));
		fill(this.facts, fact('Intent', turn.intent), fact('Plan', turn.plan), fact('Safety', turn.safety));
	}

	show() {
		this.draw();
		this.timer = setInterval(() => { if (this.session.trace.turns.list.some((turn) => !turn.isOver)) this.draw(); }, 250);
	}
}
