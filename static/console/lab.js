// Lab: why a turn ended when it did, turns asked another way, a bad network, percentiles.

import { Choices, enginesOf } from './choices.js';
import { button, choices, field, fill, h, missing, on, onceAFrame, region, rows, sketch, sourcePicker, text } from './dom.js';
import { alike, counted, ms } from './format.js';
import { network } from './network.js';
import { mix, toRate } from './recording.js';
import { settings } from './settings.js';
import { durations, label, waited } from './stages.js';
import { past, recall } from './store.js';
import { drawWaterfall, stageTables } from './waterfall.js';
import { drawMarks, drawSpectrum, drawWave, peaks } from './wave.js';

const AROUND_MS = 400; // of a turn, in its picture
const LEAD_MS = 300; // of silence before it: a voice detector wants a beginning
const LONGEST_MS = 60_000;
const QUIET_MS = 4_000; // after the sound: nothing was heard in it
const NETWORK = [
	['delay', 'Delay', 1_000, 'ms', 'Each way. What is said arrives later, and so does the answer.'],
	['jitter', 'Jitter', 500, 'ms', 'Up to so much more, by chance: it empties the jitter buffer.'],
	['loss', 'Loss', 20, '%', 'Of messages. TCP sends them again, and all behind them waits.'],
	['cut', 'Cut every', 60, 's', 'The socket is dropped, and the session resumes. 0: never.'],
];
const DECIDED = {
	'stt.speech_started': 'speech begins', 'stt.partial': 'words so far', 'stt.speech_stopped': 'speech has stopped', 'stt.final': 'final words',
	'turn.eager_end': 'the turn is probably over', 'turn.resumed': 'it goes on after all', 'turn.end': 'the turn is over',
};

/** One of two turns: its stages, its sound, and what was decided when. */
class Side {
	constructor(name, onchange) {
		this.choice = h('select', { onchange, aria: `Turn ${name}` });
		this.bars = h('div.waterfall');
		this.canvas = h('canvas.spectrum', { role: 'img', aria: `Turn ${name}: waveform and spectrogram, with the decisions of the table below` });
		this.table = h('table', { aria: `Decisions in turn ${name}` });
		this.heard = h('div.stack', this.canvas, h('p.hint', 'Solid: the moment a decision is about. Dotted: when it was told.'), region('div.scroll', `What was decided in turn ${name}`, this.table));
		this.element = h('section.card.stack', h('div.line', h('h2', `Turn ${name}`), this.choice), this.bars, this.heard);
	}

	offer(known, first) {
		const chosen = this.choice.value || first;
		const groups = Map.groupBy(known, ([, { trace }]) => trace.name);
		fill(this.choice, h('option', { value: '' }, 'none'), [...groups].map(([name, list]) => h('optgroup', { label: name }, choices(list.map(([value, { turn }]) => [value, turn.text || '…'])))));
		this.choice.value = known.has(chosen) ? chosen : '';
		this.picked = known.get(this.choice.value);
	}

	draw() {
		const { turn, trace } = this.picked ?? {};
		this.heard.hidden = !turn?.decisions.length;
		if (!turn) { fill(this.bars, h('p.soft', 'Choose one of this session, of an observed one, or of an open recording.')); return; }
		drawWaterfall(this.bars, turn, trace.kind === 'live' ? trace.now : turn.marks.done ?? 0);
		if (!this.heard.hidden) this.#picture(trace, turn);
	}

	#picture(trace, { decisions, askedAt }) {
		const zero = decisions[0].about;
		rows(this.table, ['', 'Decision', 'About', 'Told', 'After'], decisions.map(({ type, at, about, text: words }, index) => [String(index + 1), `${DECIDED[type]}${words ? `: ${words}` : ''}`, ms(about - zero), ms(at - zero), ms(at - about || null)]));
		const from = Math.max(0, zero - AROUND_MS);
		const to = Math.min(from + LONGEST_MS, Math.max(askedAt ?? 0, ...decisions.map(({ at }) => at)) + AROUND_MS);
		const hz = rateOf(trace, this.picked.turn);
		const key = [trace.name, zero, decisions.length, this.canvas.clientWidth, settings.theme].join();
		if (key === this.drawn) return;
		this.drawn = key;
		const on = sketch(this.canvas);
		const { you, agent } = mix(trace, from, to, hz);
		drawWave(on, { you: peaks(you, on.width), agent: peaks(agent, on.width) }, on.height * 0.4);
		drawSpectrum(on, you, hz, on.height * 0.4);
		drawMarks(on, decisions.map(({ at, about }) => [about, at].map((time) => ((time - from) / (to - from)) * on.width)));
	}
}

/** Of the microphone, in Hz. */
const rateOf = (trace, { channel }) => toRate(trace.records.findLast(({ message }) => message?.type === 'channel.open' && message.channel === channel)?.message.params?.sample_rate);

export class LabView {
	constructor(session) {
		this.session = session;
		this.choices = new Choices(session);
		this.draw = onceAFrame(() => this.#draw());
		this.sides = ['A', 'B'].map((name) => new Side(name, () => this.draw()));
		this.difference = h('table', { aria: 'Difference' });
		this.engines = h('p.soft');
		this.note = h('p.soft', { role: 'status' });
		this.table = h('table', { aria: 'Run again' });
		this.again = button('Run turn A again', () => this.#run([this.sides[0].picked]), { id: 'again' }, 'play');
		this.all = button('Run all of its session', () => this.#run([...this.#byName.values()].filter(({ trace }) => trace === this.sides[0].picked.trace).reverse()));
		this.halt = button('Stop', () => { this.stop(); session.voice.hush(); session.voice.stop(); }, { hidden: true }, 'stop');
		this.measured = h('div.columns');
		this.measuring = h('p.soft', { role: 'status' }, 'Typed and spoken apart; a person’s own time to say yes is left out.');
		const measure = button('Measure the saved sessions', () => this.#measure(), { id: 'measure' });
		const card = (title, ...more) => h('section.card.stack', h('h2', title), ...more);
		this.element = h('section.view.scrolling.lab', { aria: 'Lab', tabIndex: 0 }, sourcePicker(session), h('div.columns', this.sides.map((side) => side.element)),
			this.compared = card('Difference', this.difference),
			card('Asked another way', this.engines, this.choices.element, h('div.line', this.again, this.all, this.halt), this.note, this.table),
			card('A bad network', h('div.fields', NETWORK.map((each) => this.#slider(each)))),
			card('How long turns take', h('div.line', measure, this.measuring), this.measured));
		on(session, 'source', () => { this.sides[0].choice.value = ''; this.draw(); });
		session.trace.turns.listeners.add(() => this.draw());
		new ResizeObserver(() => this.draw()).observe(this.element);
	}

	/** All turns looked at, newest first, by a name of theirs. */
	get #byName() {
		const each = this.session.traces.flatMap((trace, index) => trace.turns.list.map((turn) => [`${index}/${turn.key}`, { trace, turn }]));
		return new Map(each.filter(([, { turn }]) => turn.source === 'text' || turn.source === 'speech').reverse());
	}

	#draw() {
		if (!this.element.isConnected) return;
		const { client, source } = this.session;
		const known = this.#byName;
		const newest = [...known].find(([, { trace }]) => trace === source)?.[0];
		this.sides.forEach((side, index) => { side.offer(known, index === 0 ? newest : ''); side.draw(); });
		const engines = enginesOf(client);
		text(this.engines, `${engines && `${engines}: the gateway’s STT_ENGINE and TTS_ENGINE, chosen when it starts. `}A turn that is run again is really done again, in this session.`);
		const [a, b] = this.sides.map(({ picked }) => picked?.turn);
		this.again.disabled = this.all.disabled = !a || this.running;
		this.halt.hidden = !this.running;
		this.compared.hidden = !a || !b;
		if (a && b) this.#compare(a, b);
	}

	#compare(a, b) {
		const [one, other] = [a, b].map((turn) => new Map([...durations(turn), ['To the answer', waited(turn)]]));
		const times = [...new Set([...one.keys(), ...other.keys()])].map((key) => {
			const [from, to] = [one.get(key), other.get(key)];
			return [label(key), ms(from), ms(to), from == null || to == null ? '' : `${to > from ? '+' : ''}${ms(to - from)}`];
		});
		const words = [['Words', 'text'], ['Answer', 'reply'], ['Status', 'status']].map(([name, key]) => [name, a[key], b[key], alike(a[key], b[key]) ? 'same' : 'differs']);
		rows(this.difference, ['', 'A', 'B', 'B − A'], [...words, ...times]);
	}

	// --- again

	async #run(list) {
		this.running = true;
		const results = [];
		for (const [index, { trace, turn }] of list.entries()) {
			text(this.note, `${index + 1} of ${list.length}: ${turn.text}. What it asks is answered in Talk.`);
			this.draw();
			const made = await this.#repeat(trace, turn);
			if (!this.running) break;
			results.push([turn, made]);
			if (made) this.sides[1].choice.append(h('option', { value: `0/${made.key}`, selected: true }, made.text));
			rows(this.table, ['Turn', 'Words now', 'Answer now', 'To the answer', 'Now'], results.map(([old, now]) => [old.text, alike(now?.text, old.text) ? 'same' : now?.text || 'nothing heard', alike(now?.reply, old.reply) ? 'same' : now?.reply ?? '', ms(waited(old)), ms(now && waited(now))]));
		}
		text(this.note, this.running ? `${counted(results.length, 'turn')} run again with what is chosen above.` : 'Stopped.');
		this.running = false;
		this.draw();
	}

	/** Gives the turn that came of it; null: nothing was heard. */
	#repeat(trace, turn) {
		const { client, voice, trace: { turns } } = this.session;
		const before = turns.list.at(-1)?.key ?? 0;
		const off = new AbortController();
		const made = new Promise((resolve) => {
			this.stop = () => { this.running = false; resolve(null); };
			const quiet = () => setTimeout(() => {
				if (client.state !== 'online' && !off.signal.aborted) quiet(); // it is sent later
				else if ((turns.list.at(-1)?.key ?? 0) <= before) resolve(null);
			}, QUIET_MS);
			const listener = (each) => { if (each.key > before && each.isOver && each.status !== 'answer') resolve(each); };
			turns.listeners.add(listener);
			off.signal.onabort = () => turns.listeners.delete(listener);
			on(voice, 'change', () => { if (voice.state === 'off') quiet(); }, { signal: off.signal });
		}).finally(() => off.abort());
		if (turn.source === 'text') voice.say(turn.text);
		else this.#speak(trace, turn);
		return made;
	}

	#speak(trace, turn) {
		const { speech_start: start, speech_end: end, final } = turn.marks;
		const sampleRate = rateOf(trace, turn);
		const { you } = mix(trace, Math.max(0, start - LEAD_MS), (end ?? final) + LEAD_MS, sampleRate);
		const buffer = new AudioBuffer({ length: you.length || 1, sampleRate });
		buffer.copyToChannel(you, 0);
		this.session.voice.playSound(buffer);
	}

	// --- network and numbers

	#slider([name, title, max, unit, hint]) {
		const shown = h('output');
		const input = h('input', { type: 'range', max, value: network[name], aria: title, id: `network-${name}` });
		const set = () => {
			network[name] = input.valueAsNumber;
			text(shown, `${input.value} ${unit}`);
			if (name === 'cut') {
				clearInterval(network.cutting);
				if (network.cut) network.cutting = setInterval(() => this.session.client.cut(), network.cut * 1000);
			}
			document.getElementById('network').hidden = NETWORK.every(([each]) => !network[each]);
		};
		input.oninput = set;
		set();
		return field(title, h('span.line', input, shown), hint);
	}

	async #measure() {
		const turns = [];
		try {
			const found = await past(this.session.userId);
			for (const [index, each] of found.entries()) {
				text(this.measuring, `Reading ${index + 1} of ${found.length}…`);
				turns.push(...(await recall(each)).turns.list);
			}
			text(this.measuring, `${counted(found.length, 'session')}, ${counted(turns.length, 'turn')}.`);
		} catch (error) {
			text(this.measuring, `This browser keeps no sessions (${error.message}).`);
		}
		fill(this.measured, stageTables(turns));
	}

	/** To a turn of the session looked at: `#lab/3`. */
	openLink(key) {
		const value = `${this.session.traces.indexOf(this.session.source)}/${key}`;
		if (!this.#byName.has(value)) missing(`Turn ${key}`);
		this.sides[0].choice.append(h('option', { value, selected: true }));
		this.draw();
	}

	show() {
		this.choices.show();
		this.draw();
	}
}
