// An operation of the OpenAPI document: its form, and the request made from it.

import { fill, h, segments, select } from './dom.js';
import { pretty, quoted } from './format.js';
import { control, example, resolve } from './schema.js';
import { tried } from './settings.js';

export class RequestForm {
	asJson = false;
	onchange = () => undefined;

	constructor(document, path, method, operation) {
		this.document = document;
		this.path = path;
		this.method = method;
		const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
		this.bodyType = type;
		this.schema = media ? resolve(document, media.schema) : null;
		this.bodyExample = media?.example ?? Object.values(media?.examples ?? {})[0]?.value ?? (this.schema && example(document, this.schema)) ?? {};
		this.parameters = (operation.parameters ?? []).map((each) => resolve(document, each));
		this.accepts = Object.keys(operation.responses?.[200]?.content ?? operation.responses?.[201]?.content ?? {});
		this.element = h('div.stack');
		this.#draw();
	}

	#draw() {
		const make = (schema, name, required, value) => control({ document: this.document, name, schema, required, value, onchange: () => this.onchange() });
		this.inputs = this.parameters.map((each) => ({ ...make(each.schema, each.name, Boolean(each.required), each.required ? each.example ?? example(this.document, each.schema) : undefined), where: each.in }));
		const required = new Set(this.schema?.required ?? []);
		this.fields = Object.entries(this.schema?.properties ?? {}).map(([name, schema]) => make(schema, name, required.has(name), this.bodyExample[name]));
		this.accept = this.accepts.length > 1 ? select(this.accepts.map((type) => [type]), this.accepts[0], () => this.onchange(), { aria: 'Answer as' }) : null;
		this.json = h('textarea', { rows: 8, spellcheck: false, aria: 'Body as JSON', oninput: () => this.onchange() });
		this.body = h('div.stack');
		const group = (title, children) => (children.length > 0 ? h('fieldset', h('legend', title), children) : null);
		fill(this.element, group('Parameters', this.inputs.map(({ element }) => element)), this.schema ? group('Body', [this.#modes(), this.body]) : null, this.accept ? group('Answer as', [this.accept]) : null);
		this.#showBody();
	}

	#modes() {
		return this.bodyType === 'application/json' ? segments('Body', [[false, 'Form'], [true, 'JSON']], this.asJson, (asJson) => this.#mode(asJson)) : null;
	}

	#mode(asJson) {
		if (asJson && !this.asJson) this.json.value = pretty(tried(() => this.#values()) ?? this.bodyExample);
		this.asJson = asJson;
		this.#showBody();
		this.onchange();
	}

	#showBody() {
		fill(this.body, this.asJson ? this.json : this.fields.map(({ element }) => element));
	}

	#values() {
		const read = (each) => {
			try {
				return [each.name, each.read()];
			} catch (error) {
				throw new SyntaxError(`${each.name}: ${error.message}`);
			}
		};
		return Object.fromEntries(this.fields.map(read).filter(([, value]) => value !== undefined));
	}

	/** What fetch takes, and `bodyForCurl`. Throws SyntaxError for invalid JSON. */
	prepare(origin, token) {
		const headers = token ? { Authorization: `Bearer ${token}` } : {};
		const url = new URL(this.#path(headers), origin);
		for (const { where, name, read } of this.inputs) if (where === 'query' && read() !== undefined) url.searchParams.set(name, String(read()));
		if (this.accept) headers.Accept = this.accept.value;
		const request = { method: this.method.toUpperCase(), url: url.href, headers, body: undefined, bodyForCurl: [] };
		if (this.bodyType === 'application/json') this.#jsonBody(request);
		else if (this.bodyType) this.#formBody(request);
		return request;
	}

	#path(headers) {
		let { path } = this;
		for (const { where, name, read } of this.inputs) {
			if (where === 'path') path = path.replace(`{${name}}`, encodeURIComponent(read() ?? ''));
			if (where === 'header' && read() !== undefined) headers[name] = String(read());
		}
		return path;
	}

	#jsonBody(request) {
		request.body = this.asJson ? this.json.value : JSON.stringify(this.#values());
		request.headers['Content-Type'] = 'application/json';
		request.bodyForCurl = ['--data-raw', quoted(request.body)]; // `-d` would read a file if the first character is an @
	}

	#formBody(request) {
		const form = new FormData();
		for (const [name, value] of Object.entries(this.#values())) {
			form.set(name, value instanceof File ? value : String(value));
			request.bodyForCurl.push(...(value instanceof File ? ['-F', quoted(fileForCurl(name, value))] : ['--form-string', quoted(`${name}=${value}`)]));
		}
		request.body = form;
	}
}

/** A file for curl, which ends an unquoted name at a comma or semicolon. */
function fileForCurl(name, file) {
	return `${name}=@"${file.name.replace(/["\\]/g, '\\$&')}"${file.type ? `;type=${file.type}` : ''}`;
}

export function asCurl({ method, url, headers, bodyForCurl }) {
	const parts = ['curl', '-sS', ...(method === 'GET' ? [] : ['-X', method]), quoted(url)];
	for (const [name, value] of Object.entries(headers)) parts.push('-H', quoted(`${name}: ${value}`));
	return [...parts, ...bodyForCurl].join(' ');
}
