// Earlier sessions kept by this browser: search, open and delete them.

import { button, fill, h, on, text, toast } from './dom.js';
import { bytes, counted, ms } from './format.js';
import { forget, past, recall, running } from './store.js';

export class PastSessions {
	constructor(session, onOpen) {
		this.session = session;
		this.onOpen = onOpen;
		this.words = h('input', { type: 'search', id: 'past-words', placeholder: 'Search what was said', aria: 'Search past sessions', oninput: () => this.load() });
		this.list = h('ul.past', { aria: 'Past sessions' });
		this.note = h('p.soft', { role: 'status' });
		this.all = button('Forget all', () => this.#forget(this.found.map((each) => each.id)), {}, 'cross');
		this.element = h('section.card.stack', { aria: 'Past sessions' }, h('div.line', h('h2', 'Past sessions'), this.words, h('span.end'), this.all), this.list, this.note);
		this.found = [];
		this.asked = 0;
		on(session.client, 'ready', () => this.load()); // whose they are was unknown
	}

	async load() {
		const { userId, keeper } = this.session;
		const asked = ++this.asked;
		try {
			await keeper.flush();
			const [found, live] = await Promise.all([past(userId, this.words.value), running()]);
			if (asked !== this.asked) return; // a newer search has started
			this.found = found.filter(({ id }) => id !== keeper.id && !live.has(id));
			this.#draw();
		} catch (error) {
			text(this.note, `This browser keeps no sessions (${error.message}).`);
		}
	}

	#draw() {
		const { found } = this;
		this.all.hidden = found.length === 0;
		fill(this.list, found.map((each) => this.#row(each)));
		text(this.note, found.length === 0 ? (this.words.value ? 'None has these words.' : 'None yet: each session is kept in this browser, without tokens, until you forget it.') : `${counted(found.length, 'session')}, kept in this browser only.`);
	}

	#row(each) {
		const said = each.words.split('\n').find(Boolean) ?? 'nothing was said';
		return h('li.line', h('button.quiet.past-open', { type: 'button', onclick: () => this.#open(each) },
			h('span.clip', said), h('span.soft.num', `${new Date(each.startedAt).toLocaleString()} · ${counted(each.turns, 'turn')} · ${ms(each.lastAt - each.startedAt)} · ${bytes(each.bytes)}`)),
		button('Forget', () => this.#forget([each.id]), { aria: `Forget ${said}` }));
	}

	#open(each) {
		recall(each).then(this.onOpen).catch((error) => toast(`That session cannot be read: ${error.message}`, 'bad'));
	}

	async #forget(ids) {
		await forget(ids);
		await this.load();
	}
}
