// Elements without markup, as the page's policy requires: text as text, styles by the object model.

import { tried } from './settings.js';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * `h('button.primary', { type: 'button', onclick: act }, 'Save')`. `aria` is the label for screen readers, names with a dash are attributes, `style` is an object,
 * others are properties. Children: nodes, strings, numbers; null and false are left out.
 */
export function h(selector, ...rest) {
	const [tag, ...classes] = selector.split('.');
	const made = document.createElement(tag || 'div');
	if (classes.length > 0) made.className = classes.join(' ');
	if (rest[0]?.constructor === Object) set(made, rest.shift());
	made.append(...kept(rest));
	return made;
}

const kept = (children) => children.flat(Infinity).filter((child) => (child ?? false) !== false);

export function set(element, props) {
	for (const [name, value] of Object.entries(props)) {
		if (name === 'style') for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
		else if (name === 'aria') attribute(element, 'aria-label', value);
		else if (name.includes('-') || name === 'role' || name === 'for' || name === 'list') attribute(element, name, value);
		else element[name] = value;
	}
	return element;
}

function attribute(element, name, value) {
	if (value === null || value === undefined) element.removeAttribute(name);
	else element.setAttribute(name, value);
}

/** What has the focus keeps it if it is drawn anew in place. */
export function fill(parent, ...children) {
	const path = [];
	for (let at = document.activeElement; at !== parent && parent.contains(at); at = at.parentNode) path.unshift([...at.parentNode.children].indexOf(at));
	parent.replaceChildren(...kept(children));
	if (path.length > 0) path.reduce((at, index) => at?.children[index], parent)?.focus({ preventScroll: true });
	return parent;
}

/** Only if it differs: an unchanged page is not laid out again. */
export function text(element, value) {
	if (element.textContent !== value) element.textContent = value;
}

export function svg(tag, attributes = {}, ...children) {
	const made = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
	made.append(...children);
	return made;
}

const ICONS = {
	lab: 'M9 3h6M10 3v6L4.6 19a1.5 1.5 0 0 0 1.3 2h12.2a1.5 1.5 0 0 0 1.3-2L14 9V3M7.5 15h9',
	talk: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v4',
	turns: 'M4 6h8M8 12h9M12 18h8',
	wire: 'M7 4v16M7 20l-3-3M7 20l3-3M17 20V4M17 4l-3 3M17 4l3 3',
	rest: 'M8 6l-6 6 6 6M16 6l6 6-6 6',
	system: 'M3 12h4l3-8 4 16 3-8h4',
	recordings: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
	sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5',
	moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z',
	auto: 'M12 3a9 9 0 1 0 0 18ZM12 3a9 9 0 0 1 0 18',
	send: 'M4 12 20 4l-5 16-4-6-7-2Z',
	stop: 'M7 7h10v10H7Z',
	file: 'M4 15v4h16v-4M12 4v11M8 8l4-4 4 4',
	save: 'M4 15v4h16v-4M12 4v11M8 11l4 4 4-4',
	copy: 'M9 9h11v11H9ZM15 9V4H4v11h5',
	cut: 'M6 18 18 6M6 6l4 4M14 14l4 4',
	check: 'M5 12l5 5 9-10',
	cross: 'M6 6l12 12M18 6 6 18',
	play: 'M8 5v14l11-7Z',
	pause: 'M8 5v14M16 5v14',
	keys: 'M3 6h18v12H3ZM7 10h.01M11 10h.01M15 10h.01M7 14h10',
	out: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
	warn: 'M12 4 2.5 20h19ZM12 10v4M12 17h.01',
	eye: 'M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
};

export function icon(name) {
	return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }));
}

export function button(label, onclick, props = {}, picture = undefined) {
	const { selector = 'button', ...rest } = props;
	return h(selector, { type: 'button', onclick, ...rest }, picture ? icon(picture) : null, label);
}

export function pictureButton(picture, label, onclick, props = {}) {
	return button('', onclick, { selector: 'button.quiet.square', aria: label, title: label, ...props }, picture);
}

/** Buttons; the one of `value` is pressed. */
export function segments(label, options, value, onpick) {
	const press = (chosen) => [...made.children].forEach((each, at) => each.setAttribute('aria-pressed', options[at][0] === chosen));
	const made = h('div.segments', { role: 'group', aria: label, press }, options.map(([each, words]) => button(words, (event) => { press(each); onpick(each, event); })));
	press(value);
	return made;
}

export function field(label, control, hint = '') {
	return h('label.field', h('span.label', label), control, hint ? h('span.hint', hint) : null);
}

/** Unseen: a button clicks it. `act` gets the file. */
export const filePicker = (id, accept, act) => h('input', { type: 'file', id, accept, hidden: true, onchange: ({ target }) => { const [file] = target.files; target.value = ''; if (file) act(file); } });

export const choices = (list) => list.map(([value, label = value]) => h('option', { value }, label));

export function select(options, value, onchange, props = {}) {
	const made = h('select', { onchange: () => onchange(made.value), ...props }, choices(options));
	made.value = value;
	return made;
}

/** Of this session, an observed one, or a recording. */
export function sourcePicker(session) {
	const box = h('div.source');
	const draw = () => {
		const options = session.traces.map((trace, index) => [index, trace.name]);
		fill(box, session.traces.length > 1
			? select(options, session.traces.indexOf(session.source), (value) => session.look(session.traces[value]), { aria: 'Session looked at' })
			: [], session.source === session.trace ? null : pictureButton('cross', session.source.stop ? 'Stop observing' : 'Close it', () => session.forget(session.source)));
		box.hidden = session.traces.length < 2;
	};
	on(session, 'source', draw);
	draw();
	return box;
}

/** A table's rows, drawn anew only when they differ: selection and focus stay. `none`: said without any. */
export function rows(table, head, list, none, caption = list.length > 0 ? '' : none) {
	const key = JSON.stringify([caption, list.map((row) => row.map((cell) => cell?.outerHTML ?? cell))]);
	if (table.dataset.key === key) return;
	table.dataset.key = key;
	fill(table, caption && h('caption', caption), list.length > 0 && [h('thead', h('tr', head.map((name) => h('th', { scope: 'col' }, name)))), h('tbody', list.map((row) => h('tr', row.map((cell) => h('td', cell)))))]);
}

const colours = {};

/** A canvas as sharp as the display, wiped, and the colours of the theme. */
export function sketch(canvas) {
	const ratio = window.devicePixelRatio;
	const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio));
	if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
	const [pen, style] = [canvas.getContext('2d'), getComputedStyle(canvas)];
	pen.clearRect(0, 0, width, height);
	const scheme = `${document.documentElement.dataset.theme} ${matchMedia('(prefers-color-scheme: dark)').matches}`;
	const asked = (name) => { // lays the page out: once is enough
		canvas.style.color = `var(${name})`; // the property itself would be `light-dark(…)`
		return style.color;
	};
	const colour = (name) => (colours[`${scheme} ${name}`] ??= asked(name));
	return { pen, width, height, ratio, colour };
}

/** It scrolls: the keyboard reaches it, a screen reader names it. */
export const region = (selector, label, ...children) => h(selector, { tabIndex: 0, role: 'region', aria: label }, ...children);

export function onceAFrame(draw) {
	let waiting = false;
	return () => {
		if (waiting) return;
		waiting = true;
		requestAnimationFrame(() => { waiting = false; draw(); });
	};
}

/** `act` gets the event's detail. */
export const on = (target, type, act, options = {}) => target.addEventListener(type, ({ detail }) => act(detail), options);

export function toast(message, tone = '') {
	const shown = h('p.card.toast', { 'data-tone': tone }, message);
	document.getElementById('toasts')?.append(shown);
	setTimeout(() => shown.remove(), tone === 'bad' ? 8_000 : 4_000);
}

/** For a dead link. */
export const missing = (what) => toast(`${what} is not here, or not any more.`, 'bad');

export async function copy(words, note = 'Copied.') {
	const done = await tried(() => navigator.clipboard.writeText(words).then(() => true, () => false));
	toast(done ? note : 'Browsers copy on https and localhost only.', done ? 'good' : 'bad');
}

export function empty(picture, title, ...more) {
	return h('div.empty', icon(picture), h('p.title', title), more.map((each) => (each instanceof Node ? each : h('p', each))));
}
