// Sessions kept by this browser, in IndexedDB: messages, frames and words, without tokens.

import { withoutSecrets } from './recording.js';
import { tried } from './settings.js';
import { Trace } from './trace.js';

const NAME = 'jarvis.console';
const FLUSH_MS = 1_000;
const PATIENCE_MS = 3_000;
const MOST_SESSIONS = 50;
const MOST_BYTES = 256 * 1024 * 1024; // for all sessions together; the oldest are deleted first
const PRUNE_BYTES = 1024 * 1024; // between two looks at all sessions
const MOST_WORDS = 8_000; // searchable characters per session
const PARKED = 'jarvis.parked';
const MOST_PARKED_BYTES = 1_000_000; // of frames that a reload leaves no time to store

const answer = (request) => new Promise((resolve, reject) => {
	request.onsuccess = () => resolve(request.result);
	request.onerror = () => reject(request.error);
});

const done = (transaction) => new Promise((resolve, reject) => {
	transaction.oncomplete = () => resolve();
	transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('the browser gave it up'));
});

let opened = null;

/** Whether a store has the form of this version. `store(name)` gives it. */
const fits = { sessions: (store) => store.keyPath === 'id', lines: (store) => store.autoIncrement && store.indexNames.contains('id') };
const unfit = (names, store) => Object.keys(fits).filter((name) => !names.contains(name) || !fits[name](store(name)));

/** `version`: the newest there is, if left out. */
function open(version) {
	const request = indexedDB.open(NAME, version);
	request.onupgradeneeded = () => {
		const { result, transaction } = request;
		for (const name of unfit(result.objectStoreNames, (each) => transaction.objectStore(each))) {
			if (result.objectStoreNames.contains(name)) result.deleteObjectStore(name);
			if (name === 'sessions') result.createObjectStore(name, { keyPath: 'id' });
			else result.createObjectStore(name, { autoIncrement: true }).createIndex('id', 'id');
		}
	};
	const blocked = new Promise((_, reject) => { request.onblocked = () => reject(new Error('another tab holds it: close that')); setTimeout(reject, PATIENCE_MS, new Error('it does not answer')); });
	return Promise.race([answer(request), blocked]);
}

/** Opened again after another tab changed it, or the browser removed it. */
function database() {
	const forget = () => { opened = null; };
	opened ??= (async () => {
		let found = await open();
		if (unfit(found.objectStoreNames, (name) => found.transaction(name).objectStore(name)).length > 0) {
			found.close();
			found = await open(found.version + 1);
		}
		found.onversionchange = () => { found.close(); forget(); };
		found.onclose = forget;
		return found;
	})();
	opened.catch(forget);
	return opened;
}

/** A fault, or another version, may have written anything into a row. */
const mended = ({ words, ...row }) => ({ ...row, words: String(words ?? ''), ...Object.fromEntries(['startedAt', 'lastAt', 'bytes', 'turns'].map((name) => [name, Number(row[name]) || 0])) });

/** Newest first. */
async function sessions() {
	const all = await answer((await database()).transaction('sessions').objectStore('sessions').getAll());
	return all.map(mended).sort((a, b) => b.lastAt - a.lastAt);
}

const toWrite = async () => (await database()).transaction(['sessions', 'lines'], 'readwrite');

/** Newest first. All `words` have to be in it. */
export async function past(userId, words = '') {
	const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
	return (await sessions()).filter((each) => each.userId === userId && wanted.every((word) => `${each.sessionId} ${each.words}`.toLowerCase().includes(word)));
}

/** In order, each once. */
async function lines(id) {
	const chunks = await answer((await database()).transaction('lines').objectStore('lines').index('id').getAll(id));
	return ordered(chunks.flatMap((chunk) => chunk.lines ?? []));
}

function ordered(list) {
	return [...new Map(list.filter(Boolean).map((line) => [line.n, line])).values()].sort((a, b) => a.n - b.n);
}

export async function recall(kept) {
	const trace = new Trace(`${kept.sessionId}, ${new Date(kept.startedAt).toLocaleString()}`, 'recording', kept.startedAt);
	retell(trace, await lines(kept.id));
	return trace;
}

/** All but what is damaged. */
const retell = (trace, list) => list.forEach((line) => tried(() => trace.add(line, line.at)));

export async function forget(ids) {
	const transaction = await toWrite();
	for (const id of ids) {
		transaction.objectStore('sessions').delete(id);
		const cursor = transaction.objectStore('lines').index('id').openKeyCursor(id);
		cursor.onsuccess = () => { if (cursor.result) { transaction.objectStore('lines').delete(cursor.result.primaryKey); cursor.result.continue(); } };
	}
	await done(transaction);
}

/** Stores a trace as it grows. The event `fault` (an Error) is sent once, if the browser cannot store it. */
export class Keeper extends EventTarget {
	#waiting = [];
	/** Being written to the database. */ #leaving = [];
	#timer = 0;
	#writing = Promise.resolve();
	#retried = false;
	#off = false;
	#pruneAt = 0;

	constructor(trace, sessionId, userId) {
		super();
		this.trace = trace;
		this.sessionId = sessionId;
		this.userId = userId;
		this.id = `${sessionId}@${trace.startedAt}`;
		this.bytes = trace.records.reduce((total, record) => total + record.size, 0);
		this.listener = (event) => this.#take(event.detail);
		trace.addEventListener('record', this.listener);
	}

	#take(record) {
		if (this.#off) return;
		const { message, ...told } = Trace.told(record);
		this.bytes += record.size;
		this.#waiting.push({ n: record.n, at: record.at, ...told, ...(message && { message: withoutSecrets(message) }) });
		this.#soon();
	}

	#soon() {
		this.#timer ||= setTimeout(() => this.flush(), FLUSH_MS);
	}

	/** Lines that are not in the database yet. */
	get untold() {
		return [...this.#leaving, ...this.#waiting];
	}

	/** Of before a reload: already in the trace. */
	alsoKeep(list) {
		this.#waiting.unshift(...list);
		this.#soon();
	}

	/** Resolves when everything so far is in the database. */
	flush() {
		this.#writing = this.#writing.then(() => this.#write());
		return this.#writing;
	}

	async #write() {
		this.#timer = 0;
		if (this.#waiting.length === 0 || !this.userId()) { // before session.ready the user is unknown
			if (this.#waiting.length > 0) this.#soon();
			return;
		}
		[this.#leaving, this.#waiting] = [this.#waiting, []];
		try {
			const transaction = await toWrite();
			transaction.objectStore('lines').add({ id: this.id, lines: this.#leaving });
			transaction.objectStore('sessions').put(this.#about());
			await done(transaction);
			this.#leaving = [];
			this.#retried = false;
			await this.#prune();
		} catch (error) {
			if (!this.#retried) { // another tab may have changed the database meanwhile
				this.#retried = true;
				this.#waiting.unshift(...this.#leaving);
				this.#leaving = [];
				this.#soon();
				return;
			}
			this.#off = true;
			this.#leaving = this.#waiting = [];
			this.dispatchEvent(new CustomEvent('fault', { detail: error }));
		}
	}

	#about() {
		const { startedAt, turns } = this.trace;
		const words = turns.list.map((turn) => `${turn.text}\n${turn.reply}`).join('\n').slice(-MOST_WORDS);
		return { id: this.id, sessionId: this.sessionId, userId: this.userId(), startedAt, lastAt: Date.now(), bytes: this.bytes, turns: turns.list.length, words };
	}

	async #prune() {
		if (this.bytes < this.#pruneAt) return;
		this.#pruneAt = this.bytes + PRUNE_BYTES;
		let total = 0;
		const gone = (await sessions()).filter((each, index) => { total += each.bytes; return each.id !== this.id && (index >= MOST_SESSIONS || total > MOST_BYTES); });
		if (gone.length > 0) await forget(gone.map((each) => each.id));
	}

	leave() {
		clearTimeout(this.#timer);
		this.trace.removeEventListener('record', this.listener);
	}
}

// --- reloads: state in sessionStorage, which is private to this tab, like the token ---

/** `client`: what its `park()` gave. */
export function park(client, keeper) {
	let room = MOST_PARKED_BYTES;
	const tail = keeper.untold.filter(({ bytes }) => !bytes || (room -= bytes.byteLength) > 0)
		.map(({ bytes, ...line }) => (bytes ? { ...line, audio: [...bytes] } : line));
	const { startedAt, cleared } = keeper.trace;
	const parked = { client, startedAt, cleared };
	const put = (last) => tried(() => { sessionStorage.setItem(PARKED, JSON.stringify({ ...parked, tail: last })); return true; });
	if (!put(tail)) put([]); // it was too large
}

/** Returns the parked state once, because a duplicated tab must not take the session over. */
export function unpark() {
	return tried(() => {
		const kept = sessionStorage.getItem(PARKED);
		sessionStorage.removeItem(PARKED);
		const parked = JSON.parse(kept);
		return parked && { ...parked, tail: parked.tail.map(({ audio, ...line }) => (audio ? { ...line, bytes: Uint8Array.from(audio) } : line)) };
	});
}

export async function restored({ client: { sessionId }, startedAt, cleared = 0, tail }) {
	const trace = new Trace('This session', 'live', startedAt);
	const kept = await lines(`${sessionId}@${startedAt}`).catch(() => []);
	retell(trace, ordered([...kept, ...tail]));
	trace.origin = performance.now() - Math.max(Date.now() - startedAt, trace.records.at(-1)?.at ?? 0); // a clock may be set back
	trace.cleared = Math.min(cleared, trace.end);
	if (trace.kinds.has('channel:openai')) trace.note({ type: 'channel.closed', channel: 'openai', status: 'lost' }); // its socket ended with the page
	return trace;
}
