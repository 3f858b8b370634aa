// A list of any length, of which only the visible rows are in the document.

import { h, on, onceAFrame, set } from './dom.js';

const SPARE_ROWS = 6;

/** Events: `pick` (detail: index). Rows come from `count` and `render`, all of one height. */
export class VirtualList extends EventTarget {
	count = 0;
	picked = -1;
	follow = true;
	#shown = new Map();
	#stale = false;

	constructor({ label, rowHeight, render }) {
		super();
		this.rowHeight = rowHeight;
		this.render = render;
		this.sizer = h('div.sizer', { role: 'presentation' });
		this.element = h('div.virtual', { role: 'listbox', aria: label, tabIndex: 0, onkeydown: (event) => this.#onKey(event), onclick: (event) => this.#onClick(event) }, this.sizer);
		this.draw = onceAFrame(() => this.#draw());
		on(this.element, 'scroll', () => this.#onScroll());
		new ResizeObserver(() => this.draw()).observe(this.element);
	}

	/** `anew`: all rows may have changed. */
	update(count, anew = false) {
		this.count = count;
		this.sizer.style.height = `${count * this.rowHeight}px`; // at once: `pick` scrolls
		this.#stale ||= anew;
		this.draw();
	}

	pick(index) {
		this.picked = Math.max(0, Math.min(this.count - 1, index));
		const top = this.picked * this.rowHeight;
		const { scrollTop, clientHeight } = this.element;
		if (top < scrollTop) this.element.scrollTop = top;
		else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
		for (const [at, row] of this.#shown) row.setAttribute('aria-selected', at === this.picked);
		this.draw();
		this.dispatchEvent(new CustomEvent('pick', { detail: this.picked }));
	}

	#onScroll() {
		const { scrollTop, scrollHeight, clientHeight } = this.element;
		this.follow = scrollHeight - scrollTop - clientHeight < this.rowHeight * 2;
		this.draw();
	}

	#onKey(event) {
		const page = Math.floor(this.element.clientHeight / this.rowHeight);
		const moves = { ArrowDown: this.picked + 1, ArrowUp: this.picked - 1, PageDown: this.picked + page, PageUp: this.picked - page, Home: 0, End: this.count - 1 };
		if (!(event.key in moves) || this.count === 0) return;
		event.preventDefault();
		this.follow = event.key === 'End';
		this.pick(moves[event.key]);
	}

	#onClick(event) {
		const row = event.target.closest('[data-index]');
		if (row) this.pick(Number(row.dataset.index));
	}

	#draw() {
		if (!this.element.isConnected) return;
		if (this.follow) this.element.scrollTop = this.count * this.rowHeight;
		const first = Math.max(0, Math.floor(this.element.scrollTop / this.rowHeight) - SPARE_ROWS);
		const last = Math.min(this.count, Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.rowHeight) + SPARE_ROWS);
		const spare = []; // rows are used again: new elements cost frames
		for (const [index, row] of this.#shown) {
			if (index >= first && index < last && !this.#stale) continue;
			spare.push(row);
			this.#shown.delete(index);
		}
		this.#stale = false;
		for (let index = first; index < last; index += 1) if (!this.#shown.has(index)) this.#put(index, spare.shift() ?? h('div.vrow', { role: 'option' }));
		for (const row of spare) row.remove();
		set(this.element, { 'aria-activedescendant': this.#shown.get(this.picked)?.id });
	}

	#put(index, row) {
		set(row, { 'data-index': index, id: `row-${index}`, 'aria-selected': index === this.picked, 'aria-posinset': index + 1, 'aria-setsize': this.count, style: { top: `${index * this.rowHeight}px` } });
		this.render(index, row);
		this.#shown.set(index, row);
		if (!row.isConnected) this.sizer.append(row);
	}
}
