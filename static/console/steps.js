// One step of a turn: its action, its output, its result, and the question for approval.

import { button, fill, h, icon, text } from './dom.js';
import { ms, pretty } from './format.js';

const STATES = {
	waiting: ['waits', ''], running: ['runs', 'busy'], asking: ['asks', 'warn'], ok: ['done', 'good'], failed: ['failed', 'bad'],
	denied: ['denied', 'bad'], declined: ['declined', 'warn'], cancelled: ['cancelled', 'warn'], timeout: ['too slow', 'bad'], skipped: ['skipped', ''],
};
const RISKS = { low: 'good', medium: 'warn', high: 'bad' };
const IMAGE_TYPES = new Set(['image/png', 'image/jpeg', 'image/webp']);
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** An external link; anything but http and https stays text. */
function link(url, words) {
	const { protocol = '', href } = URL.parse(url) ?? {};
	return /^https?:$/.test(protocol) ? h('a', { href, target: '_blank', rel: 'noopener noreferrer' }, words) : h('span', words);
}

function results(list) {
	return h('ol.results', list.map((found) => h('li', link(found.url, String(found.title ?? found.url ?? '')), h('p.soft.two-lines', String(found.snippet ?? '')))));
}

function picture(result) {
	const { image_base64: data, media_type: type = 'image/png', width, height } = result;
	if (!IMAGE_TYPES.has(type) || !BASE64.test(data)) return null;
	return h('img.screenshot', { src: `data:${type};base64,${data}`, alt: 'The page as the browser executor sees it', ...(width > 0 && height > 0 && { width, height }) }); // nothing below jumps
}

/** `output`: already shown as it streamed. */
function outcome(result, output) {
	if (!result || Object.keys(result).length === 0) return null;
	if (Array.isArray(result.results)) return results(result.results);
	if (typeof result.image_base64 === 'string') return picture(result);
	if (typeof result.stdout === 'string') return output || !(result.stdout || result.stderr) ? null : h('pre.output', result.stdout + result.stderr);
	return h('details', h('summary', 'Result'), h('pre.output', { tabIndex: 0 }, pretty(result)));
}

export class StepCard {
	constructor(onDecision) {
		this.onDecision = onDecision;
		this.state = h('span.badge');
		this.name = h('span.mono');
		this.what = h('span.soft.two-lines');
		this.time = h('span.soft.end');
		this.bar = h('progress', { max: 100, aria: 'Progress', hidden: true });
		this.note = h('p.soft.note', { hidden: true });
		this.output = h('pre.output', { hidden: true, tabIndex: 0, aria: 'Output' });
		this.more = h('div');
		this.question = h('div', { hidden: true });
		this.element = h('div.card.step', h('div.line', this.state, this.name, this.what, this.time), this.question, this.bar, this.note, this.output, this.more);
	}

	update(step) {
		const [word, tone] = STATES[step.status] ?? [step.status, ''];
		text(this.state, word);
		this.state.dataset.tone = tone;
		text(this.name, step.name || 'task');
		text(this.what, step.description);
		this.what.title = step.description;
		text(this.time, step.startedAt !== null && step.endedAt !== null ? ms(step.endedAt - step.startedAt) : '');
		this.#progress(step);
		this.#output(step);
		this.#question(step);
		if (step.result && this.result !== step.result) {
			this.result = step.result;
			fill(this.more, outcome(step.result, step.output));
		}
	}

	#progress(step) {
		const latest = step.progress.findLast((each) => each.percent !== null);
		this.bar.hidden = !latest || step.endedAt !== null;
		if (latest) this.bar.value = latest.percent;
		const note = step.message || (step.status === 'ok' ? '' : step.progress.findLast((each) => each.message)?.message || '');
		text(this.note, note);
		this.note.hidden = !note;
	}

	#output(step) {
		if (!step.output) return;
		const follow = this.output.scrollHeight - this.output.scrollTop - this.output.clientHeight < 30;
		this.output.hidden = false;
		text(this.output, step.output.replace(/\n$/, ''));
		if (follow) this.output.scrollTop = this.output.scrollHeight;
	}

	#question(step) {
		const asked = step.question?.open ? step.question : null;
		if (this.asked === asked?.id) return;
		this.asked = asked?.id;
		this.question.hidden = !asked;
		fill(this.question, asked && this.#ask(asked));
	}

	#ask(asked) {
		const decide = (approve) => {
			for (const each of box.querySelectorAll('button')) each.disabled = true;
			this.onDecision(asked.id, approve, asked.actionHash);
		};
		const until = new Date(asked.expiresAt).toLocaleTimeString();
		const what = Object.entries(asked.parameters).map(([name, value]) => h('div', h('dt', name), h('dd.mono', typeof value === 'string' ? value : pretty(value))));
		const box = h('div.ask', { role: 'group', aria: 'Confirmation' },
			h('p', icon('warn'), h('strong', 'May it? '), asked.reason),
			h('div.line', h('strong.mono', asked.action || 'task'), h('span.badge', { 'data-tone': RISKS[asked.risk] ?? 'warn' }, `risk ${asked.risk}`), h('span.soft', `Asked until ${until}. You may also type yes or no.`)),
			h('dl.asked', what),
			h('div.line', button('Approve', () => decide(true), { selector: 'button.primary' }, 'check'), button('Deny', () => decide(false), {}, 'cross')));
		return box;
	}
}
