// Talk: speak, type or play a file; follow what happens; hear the answer.

import { Choices, enginesOf } from './choices.js';
import { Conversation } from './conversation.js';
import { button, empty, filePicker, fill, h, icon, on, onceAFrame, pictureButton, region, segments, text } from './dom.js';
import { bytes, ms } from './format.js';
import { choose, settings } from './settings.js';
import { drawWaterfall } from './waterfall.js';
import { Scope } from './wave.js';

const EXAMPLES = ['what time is it', 'search for python tutorials', 'list files', 'remember that my favourite colour is blue', 'forget my name'];
const NUMBERS = [
	['Buffer', 'Jitter buffer: sound that waits to be played, and the depth at which playing begins: it grows with each underrun'],
	['Underruns', 'How often the sound ran out during an answer'],
	['Dropped', 'Sound thrown away unheard, because the answer was interrupted or stopped'],
	['Microphone', 'The rate at which it is recorded and sent'],
	['To the socket', 'From a microphone frame being complete to its being sent'],
	['Credit', 'What the gateway takes before the microphone has to wait'],
	['Not yet taken', 'Kept until the gateway has taken it: it is sent again after a break'],
	['Lost', 'Given up: neither credit nor a socket came in time'],
];

export class TalkView {
	constructor(session) {
		this.session = session;
		this.voice = session.voice;
		const { turns } = session.trace;
		this.conversation = new Conversation(turns, (...answer) => session.confirm(...answer));
		this.conversation.onPick = (turn) => session.showTurn(turn);
		this.panel = this.#panel();
		this.element = h('section.view.talk', { aria: 'Talk' }, h('div.stage', this.#history(), this.#dock()), this.panel);
		this.scope = new Scope(this.canvas, this.voice);
		on(this.voice, 'change', () => this.#showVoice());
		on(session.client, 'ready', () => this.drawPanel());
		this.welcome.hidden = turns.list.length > 0;
		turns.listeners.add(() => { this.welcome.hidden = true; this.drawPanel(); });
		this.drawPanel = onceAFrame(() => this.#drawPanel());
		this.#showVoice();
	}

	// --- the conversation and what is below it

	#history() {
		const examples = h('div.examples', EXAMPLES.map((words) => button(words, () => this.#say(words), { selector: 'button.chip' })));
		this.welcome = empty('talk', 'Say something', 'Press Speak, or hold the space bar in push-to-talk, and ask. Or try one of these:', examples);
		return region('div.history', 'Conversation so far', this.welcome, this.conversation.list);
	}

	#dock() {
		this.canvas = h('canvas.scope', { 'aria-hidden': 'true' });
		const release = () => this.voice.release();
		this.speak = h('button.primary.speak', { type: 'button', id: 'microphone', onpointerdown: (event) => this.#down(event), onpointerup: release, onpointercancel: release, onlostpointercapture: release, onclick: () => this.#click() });
		this.words = h('input', { id: 'text', type: 'text', placeholder: 'or type here', maxLength: 2000, autocomplete: 'off', aria: 'Type to the agent' });
		this.file = filePicker('wav', 'audio/*', (file) => this.voice.playFile(file));
		this.hush = button('Stop', () => this.voice.hush(), { id: 'hush', hidden: true, title: 'Stop the answer (Escape)' }, 'stop');
		const form = h('form.typed', { onsubmit: (event) => this.#submit(event) }, this.words, h('button', { aria: 'Send' }, icon('send')));
		const open = pictureButton('file', 'Play a recording as the microphone', () => this.file.click(), { className: 'square' });
		const more = pictureButton('system', 'Timing, audio and voice', () => more.setAttribute('aria-expanded', this.panel.classList.toggle('open')), { className: 'square narrow', 'aria-expanded': 'false' });
		this.modes = segments('Microphone', [['open', 'Open mic'], ['push', 'Push to talk']], settings.mode, (value, event) => this.#mode(value, event));
		return h('div.dock', this.canvas, h('div.controls.line', this.speak, this.modes, form, this.hush, open, more, this.file));
	}

	async #mode(value, event) {
		if (event.detail > 0) event.currentTarget.blur(); // after a click: the space bar is for speaking
		choose('mode', value);
		if (this.voice.isOn) await this.voice.stop();
		this.#showVoice();
	}

	#down(event) {
		if (settings.mode !== 'push' || event.button !== 0) return;
		this.speak.setPointerCapture(event.pointerId);
		this.voice.press();
	}

	#click() {
		if (settings.mode === 'open' || this.voice.state === 'file') this.voice.toggle();
	}

	#submit(event) {
		event.preventDefault();
		const words = this.words.value.trim();
		this.words.value = '';
		if (words) this.#say(words);
	}

	#say(words) {
		this.conversation.toEnd();
		this.voice.say(words).catch((error) => this.session.fault(error));
	}

	#showVoice() {
		const { state, isBusy } = this.voice;
		const words = { off: settings.mode === 'push' ? 'Hold to talk' : 'Speak', starting: 'Starting…', open: 'Listening', armed: 'Hold to talk', held: 'Listening', file: 'Playing the file' }[state];
		fill(this.speak, icon(state === 'open' || state === 'file' ? 'stop' : 'talk'), h('span', words));
		this.speak.setAttribute('aria-pressed', ['open', 'held', 'file'].includes(state));
		this.speak.dataset.state = state;
		this.hush.hidden = !isBusy;
		this.drawPanel?.();
	}

	// --- beside it

	#panel() {
		this.choices = new Choices(this.session, ['voice', 'speed', 'reply', 'dialect', 'device', 'rate']);
		this.bars = h('div.waterfall');
		this.engines = h('p.soft');
		this.name = h('span.soft.clip');
		this.numbers = h('dl.numbers', NUMBERS.map(([name, title]) => h('div', { title }, h('dt', name), h('dd'))));
		return h('aside.panel', { aria: 'This turn' },
			h('section.card', h('h2', 'Timing ', this.name), this.bars),
			h('section.card', h('h2', 'Audio'), this.numbers),
			h('details.card', { open: window.innerWidth > 1000 }, h('summary', h('h2', 'Voice')), this.engines, this.choices.element));
	}

	#drawPanel() {
		if (!this.element.isConnected) return;
		text(this.engines, enginesOf(this.session.client));
		const turn = this.session.trace.turns.list.at(-1);
		text(this.name, turn?.text ?? '');
		if (turn) drawWaterfall(this.bars, turn, this.session.trace.now);
		else fill(this.bars, h('p.soft', 'After the first turn: how long each stage took.'));
		this.#drawNumbers();
	}

	#drawNumbers() {
		const { stats, channel, microphone } = this.voice;
		const values = [
			`${Math.round(stats.queuedMs)} / ${stats.targetMs} ms`, String(stats.underruns), ms(stats.droppedMs), microphone?.sampleRate ? `${microphone.sampleRate / 1000} kHz` : 'off', microphone ? ms(microphone.delayMs) : '–',
			...['credit', 'keptBytes', 'lostBytes'].map((name) => (channel ? bytes(channel[name] ?? 0) : '–')),
		];
		values.forEach((value, index) => text(this.numbers.children[index].lastChild, value));
	}

	show() {
		this.timer = setInterval(() => { if (this.voice.isOn || this.voice.isBusy) this.drawPanel(); }, 200);
		this.choices.show();
		this.modes.press(settings.mode);
		this.#showVoice();
		this.drawPanel();
	}
}
