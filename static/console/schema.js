// Turns JSON Schema (2020-12, as in OpenAPI 3.1) into form fields.

import { field, h, select } from './dom.js';
import { pretty, sentence } from './format.js';

/** Follow `$ref`, and reduce "this or null" to this. */
export function resolve(document, schema) {
	let found = schema ?? {};
	for (let depth = 0; depth < 16 && found.$ref; depth += 1) {
		found = found.$ref.slice(2).split('/').reduce((part, name) => part?.[name], document) ?? {};
	}
	const choices = found.anyOf?.filter((each) => each.type !== 'null');
	if (found.type || !choices || choices.length !== 1) return found;
	const { anyOf, ...rest } = found;
	return { ...resolve(document, choices[0]), ...rest, nullable: true };
}

export function example(document, schema) {
	const found = resolve(document, schema);
	if (found.examples?.length) return found.examples[0];
	return found.example ?? found.default ?? (found.enum ? found.enum[0] : undefined);
}

function describe({ description = '', minimum, maximum, minLength, maxLength, nullable }, required) {
	const bounds = [];
	if (minimum !== undefined || maximum !== undefined) bounds.push(`${minimum ?? '…'} to ${maximum ?? '…'}`);
	if (maxLength !== undefined) bounds.push(`${minLength ? `${minLength} to ` : 'up to '}${maxLength} characters`);
	if (!required || nullable) bounds.push('optional');
	return [description, sentence(bounds.join(', '))].filter(Boolean).join('. ');
}

/** A control for one value. `read()`: undefined if empty; throws a SyntaxError for invalid JSON. */
export function control({ document, name, schema, required, value, onchange }) {
	const found = resolve(document, schema);
	const words = describe(found, required);
	const make = (input, read) => ({ name, element: field(name + (required ? ' *' : ''), input, words), read });
	if (found.contentMediaType || found.format === 'binary') {
		const input = h('input', { type: 'file', onchange });
		return make(input, () => input.files[0]);
	}
	if (found.enum || found.type === 'boolean') return choice(make, found.enum ?? [true, false], value, required, onchange);
	const typed = (selector, read, props) => {
		const input = h(selector, { value: value ?? '', oninput: onchange, ...props });
		return make(input, () => (input.value === '' ? undefined : read(input.value)));
	};
	const { type, minimum: min = '', maximum: max = '', maxLength = 0 } = found;
	if (type === 'integer' || type === 'number') return typed('input', Number, { type: 'number', step: type === 'integer' ? 1 : 'any', min, max });
	if (type === 'string') return maxLength > 500 ? typed('textarea', String, { rows: 2 }) : typed('input', String, { type: 'text' });
	return typed('textarea', JSON.parse, { rows: 3, spellcheck: false, placeholder: 'JSON', value: value === undefined ? '' : pretty(value) });
}

function choice(make, values, value, required, onchange) {
	const options = values.map((each) => [JSON.stringify(each), String(each)]);
	if (!required) options.unshift(['', '–']);
	const input = select(options, value === undefined ? options[0][0] : JSON.stringify(value), onchange);
	return make(input, () => (input.value === '' ? undefined : JSON.parse(input.value)));
}
