// Sessions kept by this browser, in IndexedDB, without tokens.

import { withoutSecrets } from './recording.js';
import { tried } from './settings.js';
import { Trace } from './trace.js';

const NAME = 'jarvis.console';
const FLUSH_MS = 1_000;
const CHUNKS = 20; // read at once: each is what was kept between two flushes
const PATIENCE_MS = 3_000;
const MOST_SESSIONS = 50;
const MOST_BYTES = 256 * 1024 * 1024; // of all sessions; the oldest go first
const PRUNE_BYTES = 1024 * 1024; // between two looks at all sessions
const MOST_WORDS = 8_000; // searchable characters per session
const { locks } = globalThis.navigator ?? {}; // none without https
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

/** Whether it has this version's form. */
const fits = (found) => tried(() => {
	const [sessions, lines] = ['sessions', 'lines'].map((name) => found.transaction(name).objectStore(name));
	return sessions.keyPath === 'id' && lines.autoIncrement && lines.indexNames.contains('id');
});

/** `version`: the newest there is, if left out. */
function open(version) {
	const request = indexedDB.open(NAME, version);
	request.onupgradeneeded = () => {
		const { result } = request;
		for (const name of [...result.objectStoreNames]) result.deleteObjectStore(name);
		result.createObjectStore('sessions', { keyPath: 'id' });
		result.createObjectStore('lines', { autoIncrement: true }).createIndex('id', 'id');
	};
	const blocked = new Promise((_, reject) => { request.onblocked = () => reject(new Error('another tab holds it: close that')); setTimeout(reject, PATIENCE_MS, new Error('it does not answer')); });
	return Promise.race([answer(request), blocked]);
}

/** Opened again after another tab changed it, or the browser removed it. */
function database() {
	const forget = () => { opened = null; };
	opened ??= (async () => {
		let found = await open();
		if (!fits(found)) {
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

/** Some seconds at a time: its socket is not kept waiting. */
async function read(id, tell) {
	const store = (await database()).transaction('lines').objectStore('lines');
	const keys = await answer(store.index('id').getAllKeys(id));
	while (keys.length > 0) {
		const some = keys.splice(0, CHUNKS);
		const found = await answer(store.getAll(IDBKeyRange.bound(some[0], some.at(-1)))); // other tabs' are among them
		tell(found.filter((chunk) => chunk.id === id).flatMap((chunk) => chunk.lines));
	}
}

/** Tells a trace each line once, and none that is damaged. */
function teller(trace) {
	const told = new Set();
	return (list) => list.forEach((line) => { if (!told.has(line?.n) && tried(() => trace.tell(line, line.at))) told.add(line.n); });
}

export async function recall(kept) {
	const trace = new Trace(`${kept.sessionId}, ${new Date(kept.startedAt).toLocaleString()}`, 'recording', kept.startedAt);
	await read(kept.id, teller(trace));
	return trace;
}

/** Ids of those that go on, in any tab: each holds a lock of that name. */
export async function running() {
	const { held = [] } = (await locks?.query()) ?? {};
	return new Set(held.map(({ name }) => name));
}

export async function forget(ids) {
	const transaction = await toWrite();
	for (const id of ids) {
		transaction.objectStore('sessions').delete(id);
		const cursor = transaction.objectStore('lines').index('id').openKeyCursor(id);
		cursor.onsuccess = () => { if (cursor.result) { transaction.objectStore('lines').delete(cursor.result.primaryKey); cursor.result.continue(); } };
	}
	await done(transaction);
}

const asLine = (n, { at, direction, message, bytes }) => ({ n, at, direction, ...(message ? { message: withoutSecrets(message) } : { bytes }) });

/** Stores a trace as it grows. Event `fault` (an Error): once, if the browser cannot. */
export class Keeper extends EventTarget {
	#waiting;
	/** Being written to the database. */ #leaving = [];
	#timer = 0;
	#writing = Promise.resolve();
	#retried = false;
	#off = false;
	#pruneAt = 0;

	/** `next` and `tail`: of before a reload, as parked. */
	constructor(trace, sessionId, userId, { next = 0, tail = [] } = {}) {
		super();
		this.trace = trace;
		this.sessionId = sessionId;
		this.userId = userId;
		this.id = `${sessionId}@${trace.startedAt}`;
		this.next = next;
		this.#waiting = tail;
		this.listener = (event) => this.#take(event.detail);
		const left = new Promise((resolve) => { this.unlock = resolve; });
		locks?.request(this.id, () => left).catch(() => undefined);
		if (!trace.held) this.#listen();
	}

	#listen() {
		this.bytes = this.trace.records.reduce((total, record) => total + record.size, 0);
		this.trace.addEventListener('record', this.listener);
	}

	/** Tells the trace what was kept before a reload, and keeps what follows. */
	async restore() {
		const { trace } = this;
		const tell = teller(trace);
		await read(this.id, tell).catch(() => undefined);
		tell(this.#waiting);
		trace.cleared = Math.min(trace.cleared, trace.end);
		this.#listen();
		this.#soon();
		const last = trace.records.findLast(({ channel }) => channel === 'openai');
		if (last && last.type !== 'channel.closed') trace.tell({ direction: 'local', message: { type: 'channel.closed', channel: 'openai', status: 'lost' } }, trace.now);
	}

	#take(record) {
		if (this.#off) return;
		this.bytes += record.size;
		this.#waiting.push(asLine(this.next++, { at: record.at, ...Trace.told(record) }));
		this.#soon();
	}

	#soon() {
		this.#timer ||= setTimeout(() => this.flush(), FLUSH_MS);
	}

	/** Lines that are not in the database yet. */
	get untold() {
		return [...this.#leaving, ...this.#waiting, ...(this.trace.held ?? []).map((each, index) => asLine(this.next + index, each))];
	}

	/** Resolves when all so far is in the database. */
	flush() {
		this.#writing = this.#writing.then(() => this.#write());
		return this.#writing;
	}

	async #write() {
		this.#timer = 0;
		if (this.#waiting.length === 0) return;
		if (!this.userId() || this.trace.held) { this.#soon(); return; } // before session.ready the user is unknown
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
		const live = await running();
		const gone = (await sessions()).filter((each, index) => { total += each.bytes; return each.id !== this.id && !live.has(each.id) && (index >= MOST_SESSIONS || total > MOST_BYTES); });
		if (gone.length > 0) await forget(gone.map((each) => each.id));
	}

	leave() {
		clearTimeout(this.#timer);
		this.unlock();
		this.trace.removeEventListener('record', this.listener);
	}
}

// --- reloads: state in sessionStorage, which is private to this tab, like the token

/** `client`: what its `park()` gave; `sounding`: replies. */
export function park(client, keeper, sounding) {
	let room = MOST_PARKED_BYTES;
	const tail = keeper.untold.filter(({ bytes }) => !bytes || (room -= bytes.byteLength) > 0)
		.map(({ bytes, ...line }) => (bytes ? { ...line, audio: [...bytes] } : line));
	const { startedAt, cleared, now, held } = keeper.trace;
	const parked = { client, sounding, startedAt, cleared, now, next: keeper.next + (held?.length ?? 0) };
	const put = (last) => tried(() => { sessionStorage.setItem(PARKED, JSON.stringify({ ...parked, tail: last })); return true; });
	if (!put(tail)) put([]); // it was too large
}

/** Gives it once: a duplicated tab must not take the session over. */
export function unpark() {
	return tried(() => {
		const kept = sessionStorage.getItem(PARKED);
		sessionStorage.removeItem(PARKED);
		const parked = JSON.parse(kept);
		return parked && { ...parked, tail: parked.tail.map(({ audio, ...line }) => (audio ? { ...line, bytes: Uint8Array.from(audio) } : line)) };
	});
}

/** The trace of before a reload, whose past is still to be read. */
export function reopened({ startedAt, cleared, now = 0 }) {
	const origin = performance.now() - Math.max(Date.now() - startedAt, now); // a clock may be set back
	return Object.assign(new Trace('This session', 'live', startedAt), { origin, cleared, held: [] });
}
