// A message as code that sends it. Pure.

import { pretty, sentence } from './format.js';

function python(value) {
	if (value === null || value === undefined) return 'None';
	if (typeof value === 'boolean') return value ? 'True' : 'False';
	if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
	if (typeof value === 'object') return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(', ')}}`;
	return JSON.stringify(value);
}

const ON_CHANNEL = { commit: 'commit()', 'channel.end': 'end()', 'channel.cancel': 'cancel()' };

const named = (params) => Object.entries(params ?? {}).map(([name, value]) => `, ${name}=${python(value)}`).join('');

/** Inside of `async with AsyncJarvisClient(…) as client`, of `jarvis_client`. */
export function asPython(message) {
	const { type, op, kind, params = {}, confirmation_id: id, approve, action_hash: hash } = message;
	if (type === 'call') return `answer = await client.call(${python(op)}${named(params)})`;
	if (type === 'channel.open') return `channel = client.open(${sentence(kind)}Params(${named(params).slice(2)}))\nasync for event in channel:\n    print(event)`;
	if (type === 'task.confirm') return `await client.confirm(${python(id)}, approve=${python(approve)}${hash ? `, action_hash=${python(hash)}` : ''})`;
	if (type === 'tts.text') return `channel.send_text(${python(message.text)})`;
	return ON_CHANNEL[type] ? `channel.${ON_CHANNEL[type]}` : '# sent by the client itself';
}

export function asJavaScript(message) {
	const { type, op, kind, params = {}, confirmation_id: id, approve, action_hash: hash, seq, ...rest } = message;
	if (type === 'call') return `const answer = await client.call(${JSON.stringify(op)}, ${pretty(params)});`;
	if (type === 'channel.open') return `const channel = client.open(${JSON.stringify(kind)}, ${pretty(params)});\nchannel.addEventListener('message', ({ detail }) => console.log(detail));`;
	if (type === 'task.confirm') return `await client.confirm(${JSON.stringify(id)}, ${approve}${hash ? `, ${JSON.stringify(hash)}` : ''});`;
	return `client.send(${pretty({ type, ...rest })});`;
}
