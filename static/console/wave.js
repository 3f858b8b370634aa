// Both sides of a conversation as they sounded: yours from the middle up, the agent's down.

import { MIX_HZ } from './recording.js';

/** The loudest sample of each column. */
export function peaks(samples, columns) {
	const found = new Float32Array(columns);
	const each = Math.max(1, samples.length / columns);
	const stride = Math.max(1, Math.floor(each / (MIX_HZ / 100)));
	for (let column = 0; column < columns; column += 1) {
		const last = Math.min(samples.length, (column + 1) * each);
		for (let at = Math.floor(column * each); at < last; at += stride) found[column] = Math.max(found[column], Math.abs(samples[at]));
	}
	return found;
}

export function drawWave({ pen, width, ratio, colour, ...all }, { you, agent }, height = all.height) {
	const middle = height / 2;
	pen.fillStyle = colour('--line');
	pen.fillRect(0, middle, width, ratio);
	for (const [levels, name, way] of [[you, '--you', -1], [agent, '--agent', 1]]) {
		pen.fillStyle = colour(name);
		const step = width / levels.length;
		levels.forEach((level, at) => { if (level > 0) pen.fillRect(at * step, middle, Math.max(1, step * 0.7), way * level * (middle - 2)); });
	}
}
