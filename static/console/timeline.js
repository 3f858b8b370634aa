// A trace's time as a strip: traffic each way, a band for each turn.

import { button, fill, h, sketch } from './dom.js';
import { ms } from './format.js';

const SHORTEST_MS = 50; // of a drag: less is a click
const NARROWEST_PX = 24; // a band that a finger hits
const MOST_LANES = 3;

export class Timeline {
	/** Milliseconds of the trace; null: all. */ range = null;
	key = '';

	constructor(onselect) {
		this.onselect = onselect;
		this.canvas = h('canvas', { title: 'Drag to select a time' });
		this.bands = h('div.bands');
		this.all = button('All of the time', () => this.select(null), { selector: 'button.chip', hidden: true });
		this.element = h('div.timeline', { role: 'group', aria: 'Time and turns' }, this.bands, this.canvas, this.all);
		this.canvas.onpointerdown = (event) => { this.canvas.setPointerCapture(event.pointerId); this.grip = this.#at(event); };
		this.canvas.onpointermove = (event) => {
			const [from, to] = [this.grip, this.#at(event)].sort((a, b) => a - b);
			if (event.buttons === 1 && to - from > SHORTEST_MS) this.select([from, to]);
		};
	}

	#at({ clientX }) {
		const { left, width } = this.canvas.getBoundingClientRect();
		return this.from + ((clientX - left) / width) * (this.to - this.from);
	}

	select(range) {
		this.range = range;
		this.all.hidden = !range;
		this.key = '';
		this.onselect();
	}

	/** `first`: index of the record to begin with. */
	draw({ records, turns }, first) {
		const last = records.at(-1)?.at ?? 0;
		const key = `${first} ${records.length} ${last} ${turns.list.length} ${this.range} ${this.canvas.clientWidth}`;
		if (key === this.key) return;
		this.key = key;
		this.from = records[first]?.at ?? last;
		this.to = Math.max(last, this.from + 1_000);
		const place = (at) => (at - this.from) / (this.to - this.from);
		this.#density(records, first, place);
		const shown = turns.list.map((turn) => [turn, ...stretch(turn, last)]).filter(([, , end]) => end > this.from);
		const lanes = []; // where the last band of each ends: turns may overlap
		fill(this.bands, shown.map(([turn, start, end]) => {
			const [left, right] = [Math.max(0, place(start)), place(end)].map((share) => share * this.canvas.clientWidth);
			const free = lanes.findIndex((edge) => edge <= left);
			const lane = free >= 0 ? free : Math.min(lanes.length, MOST_LANES - 1);
			lanes[lane] = Math.max(right, left + NARROWEST_PX);
			return button(turn.text || '…', () => this.select([start, end]), { selector: 'button.band', title: `${turn.text}, ${ms(end - start)}`, 'aria-pressed': this.range?.[0] === start, style: { left: `${left}px`, width: `${right - left}px`, top: `${lane * NARROWEST_PX}px` } });
		}));
		this.bands.style.height = `${lanes.length * NARROWEST_PX}px`;
	}

	#density(records, first, place) {
		const { pen, width, height, ratio, colour } = sketch(this.canvas);
		const columns = Math.max(1, Math.floor(width / (2 * ratio)));
		for (const [direction, name, way] of [['out', '--you', -1], ['in', '--agent', 1]]) {
			const counts = new Uint32Array(columns + 1);
			for (let index = first; index < records.length; index += 1) if (records[index].direction === direction) counts[Math.floor(place(records[index].at) * columns)] += 1;
			const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 1));
			pen.fillStyle = colour(name);
			counts.forEach((number, column) => pen.fillRect(column * 2 * ratio, height / 2, ratio, way * (Math.log1p(number) / most) * (height / 2)));
		}
		if (!this.range) return;
		Object.assign(pen, { globalAlpha: 0.2, fillStyle: colour('--accent') });
		pen.fillRect(place(this.range[0]) * width, 0, (place(this.range[1]) - place(this.range[0])) * width, height);
		pen.globalAlpha = 1;
	}
}

export function stretch({ marks }, now) {
	const times = Object.values(marks);
	return [Math.min(...times), marks.done === undefined ? now : Math.max(...times)];
}
