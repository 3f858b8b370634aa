// The start and end of each stage of a turn. Pure.

const LABELS = {
	speech: 'Speech', endpoint: 'End of turn', final: 'Transcript', intent: 'Intent', plan: 'Plan', safety: 'Safety', asked: 'Your yes or no', step: 'Step',
	reply: 'Reply words', first_byte: 'First byte', first_sound: 'First sound', speaking: 'Speaking', paused: 'Paused',
};

export const label = (key) => LABELS[key] ?? key;

/** In order: `key`, `label`, `tone`, `start`, `end`, perhaps `running`, `ticks`, `note`. */
export function spans(turn, now) {
	const { marks } = turn;
	const found = [];
	const add = (key, start, end, more = {}) => {
		if (start !== undefined && end !== undefined) found.push({ key, label: label(key), tone: key, start, end: Math.max(start, end), ...more });
	};
	if (marks.speech_start !== undefined) add('speech', marks.speech_start, marks.speech_end ?? now, { running: marks.speech_end === undefined });
	add('endpoint', marks.speech_end, marks.endpoint ?? marks.end, early(marks));
	add('final', marks.endpoint ?? marks.speech_end, marks.final);
	let from = marks.final ?? marks.sent;
	for (const key of ['intent', 'plan', 'safety']) {
		add(key, from, marks[key]);
		from = marks[key] ?? from;
	}
	for (const step of turn.steps.values()) found.push(...ofStep(turn, step, now));
	const ends = [...turn.steps.values()].map((step) => step.endedAt ?? 0);
	add('reply', from && Math.max(from, ...ends), marks.reply);
	add('first_byte', [marks.reply, from].find((at) => at <= marks.first_byte), marks.first_byte);
	add('first_sound', marks.first_byte, marks.first_sound);
	if (marks.first_sound !== undefined) add('speaking', marks.first_sound, speechEnd(turn, now), { running: speechEnd(turn, undefined) === undefined });
	for (const { from: since, to, words } of turn.pauses) {
		const until = to ?? marks.done;
		add('paused', since, until ?? now, { running: until === undefined, note: words ? 'words followed' : until === undefined ? 'a sound; do words follow?' : 'no words followed: the reply went on' });
	}
	return found;
}

/** When the speaker had probably finished. */
function early({ eager_end: eager, speech_end: since, end }) {
	if (eager === undefined) return {};
	const after = (time) => `${Math.round(Math.max(0, time - since))} ms`;
	return { ticks: [eager], note: `probably over after ${after(eager)}${end === undefined ? '' : `, certainly after ${after(end)}`}` };
}

function ofStep(turn, step, now) {
	const asked = { key: 'asked', label: label('asked'), tone: 'endpoint', start: step.askedAt, end: step.answeredAt ?? turn.marks.done ?? now, running: step.answeredAt === null && turn.marks.done === undefined };
	const before = step.askedAt === null ? [] : [asked];
	if (step.startedAt === null) return before;
	const over = step.endedAt ?? turn.marks.done;
	const span = { key: 'step', label: step.name || 'Task', tone: 'step', start: step.startedAt, end: over ?? now, running: over === undefined };
	return [...before, { ...span, ticks: step.progress.map((each) => each.at), note: step.progress.at(-1)?.message ?? '' }];
}

function speechEnd(turn, now) {
	return turn.marks.interrupted ?? turn.marks.silent ?? turn.marks.done ?? now;
}

/** For the first sound, or the text if not spoken, without the user's own time to say yes. */
export function waited({ marks, askedAt, steps }) {
	const answered = marks.first_sound ?? (marks.done === undefined ? undefined : marks.reply);
	if (answered === undefined) return null;
	const asked = [...steps.values()].filter((step) => step.answeredAt !== null && step.answeredAt < answered);
	return asked.reduce((left, step) => left - (step.answeredAt - step.askedAt), answered - askedAt) || null; // NaN: nobody asked
}

/** Of a turn, what took its time and is over. */
export const done = (turn) => spans(turn, 0).filter(({ key, running }) => !running && !['speech', 'speaking', 'paused'].includes(key));

export function durations(turn) {
	const sums = new Map();
	for (const { key, start, end } of done(turn)) sums.set(key, (sums.get(key) ?? 0) + end - start);
	return sums;
}
