// The conversation: one entry per turn, updated as it runs.

import { h, icon, onceAFrame, text } from './dom.js';
import { ms } from './format.js';
import { waited } from './stages.js';
import { StepCard } from './steps.js';

const MOST_CARDS = 100;

class TurnCard {
	constructor(turn, onDecision, onPick) {
		this.turn = turn;
		this.onDecision = onDecision;
		this.steps = new Map();
		this.stable = h('span');
		this.growing = h('span.growing');
		this.you = h('p.you', this.stable, this.growing);
		this.mind = h('p.mind', { hidden: true });
		this.doing = h('div.doing');
		this.spoken = h('mark.spoken');
		this.unspoken = h('span');
		this.agent = h('p.agent', { hidden: true }, this.spoken, this.unspoken);
		this.faults = h('div');
		this.foot = h('button.foot', { type: 'button', hidden: true, onclick: () => onPick(turn), title: 'Show its timing' });
		this.element = h('li.turn', this.#side('You', [this.you, this.mind, this.doing]), this.#side('Jarvis', [this.agent, this.faults, this.foot]));
	}

	#side(who, parts) {
		return h('div.side', { 'data-who': who }, h('span.who', who), h('div.said', parts));
	}

	update() {
		this.#heard();
		this.#understood();
		for (const [id, step] of this.turn.steps) this.#step(id, step);
		this.#said();
		this.#faults();
		this.#foot();
		this.element.dataset.status = this.turn.status;
	}

	#heard() {
		const { text: words, isFinal, stableChars } = this.turn;
		text(this.stable, isFinal ? words : words.slice(0, stableChars));
		text(this.growing, isFinal ? '' : words.slice(stableChars) || (words ? '' : '…'));
		this.you.dataset.final = isFinal;
	}

	#understood() {
		const { intent, plan, safety } = this.turn;
		const parts = [];
		if (intent) parts.push(`${intent.intent} ${Math.round(intent.confidence * 100)} %`, ...Object.entries(intent.entities).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`));
		if (plan?.steps.length) parts.push(`plan: ${plan.goal}`);
		if (safety && safety.verdict !== 'allow') parts.push(`safety: ${safety.verdict}, ${(safety.reasons ?? []).join(', ')}`);
		text(this.mind, parts.join('  ·  '));
		this.mind.hidden = parts.length === 0;
	}

	#step(id, step) {
		if (step.startedAt === null && step.status === 'waiting' && !this.turn.isOver) return;
		let card = this.steps.get(id);
		if (!card) {
			card = new StepCard(this.onDecision);
			this.steps.set(id, card);
			this.doing.append(card.element);
		}
		card.update(step);
	}

	#said() {
		const { reply, spoken, source, isPaused } = this.turn;
		this.agent.dataset.paused = isPaused;
		this.agent.hidden = reply === '' || source === 'voice';
		text(this.spoken, reply.slice(0, spoken));
		text(this.unspoken, reply.slice(spoken));
	}

	#faults() {
		const { errors } = this.turn;
		if (this.faults.childElementCount === errors.length) return;
		this.faults.replaceChildren(...errors.map(({ code, message, hint }) => h('p.fault', icon('warn'), h('span', h('strong', code), ` ${message}`, hint && h('span.soft', ` ${hint}`)))));
	}

	#foot() {
		const { status, heardText, isPaused, pauses } = this.turn;
		const coughs = pauses.filter(({ to, words }) => to !== null && !words).length;
		const total = waited(this.turn);
		const parts = [];
		if (this.turn.waits && !status) parts.push('waits for the connection');
		if (total !== null) parts.push(ms(total));
		if (isPaused) parts.push('paused: a sound, listening whether words follow');
		else if (coughs > 0) parts.push(`went on after ${coughs === 1 ? 'a pause' : `${coughs} pauses`}`);
		if (heardText !== null) parts.push(heardText ? `interrupted after “${heardText}”` : 'interrupted at once');
		else if (status && status !== 'ok' && status !== 'heard') parts.push(status);
		text(this.foot, parts.join(' · '));
		this.foot.hidden = parts.length === 0;
	}
}

/** Follows its newest entry unless the reader has scrolled up. */
export class Conversation {
	cards = new Map();
	changed = new Set();
	onPick = () => undefined;

	constructor(log, onDecision) {
		this.log = log;
		this.onDecision = onDecision;
		this.list = h('ol.turns', { 'aria-live': 'polite', aria: 'Conversation' });
		this.draw = onceAFrame(() => this.#draw());
		this.list.addEventListener('load', () => { if (this.follows) this.toEnd(); }, true); // a picture may be taller than reserved
		this.listener = (turn) => { this.changed.add(turn); this.draw(); };
		log.listeners.add(this.listener);
		for (const turn of log.list) this.listener(turn);
	}

	toEnd() {
		const box = this.list.parentElement;
		if (box) box.scrollTop = box.scrollHeight;
	}

	leave() {
		this.log.listeners.delete(this.listener);
	}

	#draw() {
		const box = this.list.parentElement;
		const follow = this.follows = box ? box.scrollHeight - box.scrollTop - box.clientHeight < 60 : false;
		for (const turn of this.changed) {
			try { this.#show(turn); } catch (error) { reportError(error); } // the others are shown
		}
		this.changed.clear();
		this.#trim();
		if (follow) this.toEnd();
	}

	#show(turn) {
		let card = this.cards.get(turn.key);
		if (turn.status === 'no words') {
			card?.element.remove();
			return;
		}
		if (!card) {
			card = new TurnCard(turn, this.onDecision, (picked) => this.onPick(picked));
			this.cards.set(turn.key, card);
			this.list.append(card.element);
		}
		card.update();
	}

	#trim() {
		while (this.cards.size > MOST_CARDS) {
			const [[key, card]] = this.cards;
			card.element.remove();
			this.cards.delete(key);
		}
	}
}
