// A live copy of another session: the messages in its `observe.event`s become a trace.

import { encodeFrame } from '../jarvis/codec.js';
import { on } from './dom.js';
import { Trace } from './trace.js';

const way = (direction) => (direction === 'client' ? 'out' : 'in');

/** `onEnd(why, seen)`: it was refused or broke off; `seen`: events had arrived before. */
export function observe(client, sessionId, onEnd) {
	const trace = new Trace(`Observed: ${sessionId}`, 'observed');
	const channel = client.open('observe', { session_id: sessionId, audio: true });
	/** Format of the frames that follow. */ let audio = null;
	const formats = new Map();
	on(channel, 'observe.event', ({ direction, message }) => trace.add({ direction: way(direction), message }));
	on(channel, 'observe.audio', (message) => {
		audio = message;
		const { direction, source_channel: source, encoding, sample_rate: rate } = message;
		const [of, format] = [`${direction} ${source}`, `${encoding} ${rate}`];
		if (formats.get(of) === format) return;
		formats.set(of, format); // announced before the observation began
		trace.note({ type: 'observe.audio', channel: source, direction, encoding, sample_rate: rate });
	});
	on(channel, 'observe.dropped', (message) => trace.note({ ...message, channel: undefined }));
	on(channel, 'audio', (frame) => {
		channel.played(frame.payload.byteLength);
		if (audio) trace.add({ direction: way(audio.direction), bytes: encodeFrame({ ...frame, channel: audio.source_channel }) });
	});
	on(channel, 'closed', ({ status, message, code }) => {
		const seen = trace.records.length > 0;
		trace.stop = null;
		trace.note({ type: 'observe.ended', status, ...(code && { code, message }) });
		if (status === 'error') onEnd(message ?? code, seen);
	});
	trace.stop = () => channel.cancel();
	return trace;
}
