// Keyboard shortcuts for every view and the microphone.

import { button, h } from './dom.js';
import { settings } from './settings.js';

const KEYS = [
	['1 – 7', 'the views, in order'], ['Space', 'speak: hold it in push-to-talk, press it for the open mic'], ['Esc', 'stop the answer; close what is open'],
	['/', 'to the text or the filter'], ['↑ ↓', 'through lists'], ['?', 'this list'],
];

const typing = (target) => target.matches?.('input:not([type=checkbox]), textarea, select, [contenteditable]');
const pressing = (target) => target.matches?.('button:not(#microphone), a, summary, input[type=checkbox], [role=option]');

export function shortcuts(shell) {
	document.addEventListener('keydown', (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
		if (event.key === 'Escape') onEscape(shell, event);
		else if (!typing(event.target)) onKey(shell, event);
	});
	document.addEventListener('keyup', (event) => {
		if (event.code !== 'Space') return;
		if (event.target.id === 'microphone') event.preventDefault(); // or a browser may take it for a click
		shell.session?.voice.release();
	});
	window.addEventListener('blur', () => shell.session?.voice.release());
}

function onEscape(shell, event) {
	if (typing(event.target)) event.target.blur();
	shell.session?.voice.hush();
}

function onKey(shell, event) {
	if (/^[1-7]$/.test(event.key)) location.hash = shell.session?.views[event.key - 1]?.id ?? '';
	else if (event.key === '?') openShortcuts();
	else if (event.key === '/') focusFirst(event);
	else if (event.code === 'Space' && !pressing(event.target)) onSpace(shell, event);
}

function focusFirst(event) {
	const found = document.querySelector('main input[type=search], main input[type=text]');
	if (!found) return;
	event.preventDefault();
	found.focus();
}

function onSpace(shell, event) {
	const voice = shell.session?.voice;
	if (!voice || shell.shown?.id !== 'talk') return;
	event.preventDefault();
	if (event.repeat) return;
	if (settings.mode === 'push') voice.press();
	else voice.toggle();
}

export function openShortcuts() {
	const rows = KEYS.map(([keys, what]) => h('div', h('dt', h('kbd', keys)), h('dd', what)));
	const dialog = h('dialog.card', { onclose: () => dialog.remove(), aria: 'Keyboard shortcuts' }, h('h2', 'Keyboard'), h('dl.keys', rows), button('Close', () => dialog.close()));
	document.body.append(dialog);
	dialog.showModal();
}
