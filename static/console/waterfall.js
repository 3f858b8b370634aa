// Draws a turn as bars on a time axis.

import { fill, h, rows } from './dom.js';
import { ms, percentile } from './format.js';
import { durations, label, spans, waited } from './stages.js';

const STEPS = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000];
const MOST_TICKS = { wide: 4, narrow: 2.5 };

export function ticks(from, length, most) {
	const fits = STEPS.findIndex((each) => length / each <= most);
	const at = (step) => Array.from({ length: Math.floor((from + length) / step) - Math.ceil(from / step) + 1 }, (_, index) => (Math.ceil(from / step) + index) * step);
	if (fits < 0) return at(120_000);
	const found = at(STEPS[fits]);
	return found.length > 1 || fits === 0 ? found : at(STEPS[fits - 1]); // a single mark shows no scale
}

const percent = (share) => `${(Math.max(0, Math.min(1, share)) * 100).toFixed(3)}%`;

/**
 * `onpick` is told when somebody wants to know more of a stage. Zero is the end of speech, or the time when the text was sent. Speech is cut off on both sides.
 */
export function drawWaterfall(element, turn, now, onpick = null) {
	const all = spans(turn, now);
	if (all.length === 0) {
		fill(element, h('p.soft', 'Nothing to show yet.'));
		return;
	}
	const { from, to } = extent(all);
	const zero = turn.askedAt ?? from;
	const at = (time) => (time - from) / (to - from);
	fill(element, axis(from - zero, to - from, element.classList.contains('wide') ? MOST_TICKS.wide : MOST_TICKS.narrow), all.map((span) => row(span, at, zero, onpick)), foot(turn));
}

const SHORTEST_MS = 50;
const MARGIN = 0.14; // share of the axis for speech that is cut off
const isSpeech = ({ key }) => key === 'speech' || key === 'speaking';

function extent(all) {
	const way = all.filter((span) => !isSpeech(span));
	const shown = way.length > 0 ? way : all;
	const first = Math.min(...shown.map((span) => span.start));
	const last = Math.max(...shown.map((span) => span.end), first + SHORTEST_MS);
	const margin = way.length > 0 ? MARGIN * (last - first) : 0;
	const beside = (key) => (all.some((span) => span.key === key) ? margin : 0);
	return { from: first - beside('speech'), to: last + beside('speaking') };
}

function axis(from, length, most) {
	const marks = ticks(from, length, most).map((tick) => h('span', { style: { left: percent((tick - from) / length) } }, tick === 0 ? '0' : Math.abs(tick) % 60_000 < 1_000 ? ms(tick) : `${tick / 1000} s`));
	return h('div.row.axis', { 'aria-hidden': 'true' }, h('span.name'), h('div.lane', marks), h('span.took'));
}

function row({ label, tone, start, end, ticks: progress = [], note = '', ...span }, at, zero, onpick) {
	const words = `${label}: ${ms(end - start)}, from ${ms(start - zero)} to ${ms(end - zero)}${note ? `, ${note}` : ''}`;
	const bar = h('div.bar', { 'data-tone': tone, style: { left: percent(at(start)), right: percent(1 - at(end)) } });
	bar.dataset.cut = `${at(start) < 0 ? 'start ' : ''}${at(end) > 1 ? 'end' : ''}`;
	const dots = progress.map((time) => h('i.tick', { style: { left: percent(at(time)) } }));
	const pick = onpick && (() => onpick({ start, end, ...span }));
	return h('div.row', { title: words, tabIndex: 0, role: pick ? 'button' : 'img', aria: words, onclick: pick, onkeydown: pick && ((event) => { if (event.key === 'Enter') pick(); }) },
		h('span.name', label), h('div.lane', h('i.zero', { style: { left: percent(at(zero)) } }), bar, dots), h('span.took', ms(end - start)));
}

function foot(turn) {
	const total = waited(turn);
	if (total === null) return null;
	const what = turn.marks.first_sound === undefined ? 'to the answer’s words' : 'to the first sound';
	return h('p.sum', h('strong', ms(total)), ` ${turn.source === 'speech' ? 'from the end of speech' : 'from sending'} ${what}`);
}

const KINDS = { speech: 'Spoken', text: 'Typed', task: 'Tasks' };
const STAGES = ['endpoint', 'final', 'intent', 'plan', 'safety', 'step', 'reply', 'first_byte', 'first_sound'];

export function stageTables(turns) {
	const kinds = Object.entries(KINDS).map(([source, name]) => [name, turns.filter((turn) => turn.source === source)]).filter(([, list]) => list.length > 0);
	return kinds.map(([name, list]) => {
		const each = list.map((turn) => durations(turn));
		const stages = STAGES.map((key) => [label(key), each.map((found) => found.get(key))]);
		const measured = [...stages, ['To the answer', list.map(waited)]].map(([stage, all]) => [stage, all.filter((value) => value !== undefined && value !== null)]);
		const table = h('table', { aria: name });
		rows(table, [`${name}, ${list.length}`, 'p50', 'p95'], measured.filter(([, all]) => all.length > 0).map(([stage, all]) => [stage, ms(percentile(all, 0.5)), ms(percentile(all, 0.95))]));
		return table;
	});
}
