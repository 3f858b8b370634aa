// Selects the trace to show: this session, an observed one, or a recording.

import { fill, h, on, pictureButton, select } from './dom.js';

export function sourcePicker(session) {
	const box = h('div.source');
	const draw = () => {
		const options = session.traces.map((trace, index) => [String(index), trace.name]);
		fill(box, session.traces.length > 1
			? select(options, String(session.traces.indexOf(session.source)), (value) => session.look(session.traces[Number(value)]), { aria: 'Session looked at' })
			: [], session.source === session.trace ? null : pictureButton('cross', session.source.stop ? 'Stop observing' : 'Close it', () => session.forget(session.source)));
		box.hidden = session.traces.length < 2;
	};
	on(session, 'source', draw);
	draw();
	return box;
}
