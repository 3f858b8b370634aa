// The frame around the views.

import { JarvisClient, JarvisError } from '../jarvis-client.js';
import { Account } from './account.js';
import { button, empty, fill, h, icon, missing, on, pictureButton, set, text, toast } from './dom.js';
import { counted, ms, sentence } from './format.js';
import { Health } from './health.js';
import { LabView } from './lab.js';
import { BadSocket } from './network.js';
import { RecordingsView } from './recordings.js';
import { RestView } from './rest.js';
import { Keeper, park, reopened, unpark } from './store.js';
import { applyTheme, choose, settings, tried } from './settings.js';
import { openShortcuts, shortcuts } from './shortcuts.js';
import { signIn } from './signin.js';
import { SystemView } from './system.js';
import { TalkView } from './talk.js';
import { Trace } from './trace.js';
import { hint } from './turnlog.js';
import { TurnsView } from './turns.js';
import { Voice } from './voice.js';
import { WireView } from './wire.js';

const PING_EVERY_MS = 10_000;
const SLOW_MS = 1_500; // connecting may take this long before it is shown
const AT_END_PX = 60;
const CUT = 4000; // close code of "cut" on the Wire view
const VIEWS = [['talk', 'Talk'], ['turns', 'Turns'], ['wire', 'Wire'], ['rest', 'REST'], ['system', 'System'], ['recordings', 'Recordings'], ['lab', 'Lab']];

const $ = (id) => document.getElementById(id);

/** One session with the gateway, and its views. Events: `source` (another trace is shown). */
export class Session extends EventTarget {
	views = [];

	/** `parked`: from before a reload, or a sign-in that expired. */
	constructor(account, parked = undefined) {
		super();
		this.account = account;
		const options = account.debugUser ? { userId: account.debugUser } : { getTicket: () => this.#ticket() };
		this.client = new JarvisClient(location.origin, { webSocket: BadSocket, ...options, ...(parked && { resume: parked.client }) });
		this.trace = parked ? reopened(parked) : new Trace('This session', 'live');
		this.keeper = new Keeper(this.trace, this.client.sessionId, () => this.userId, parked);
		this.health = new Health();
		on(this.keeper, 'fault', () => toast('This browser keeps nothing: what happens here is forgotten when the page is left.', 'bad'));
		/** That Turns and Wire can show. */ this.traces = [this.trace];
		this.source = this.trace;
		this.voice = new Voice(this.client, this.trace, account);
		on(this.voice, 'fault', (error) => this.fault(error));
		if (parked) {
			this.sounded = parked.sounding;
			const past = this.keeper.restore();
			this.voice.goOn(parked.client.commands, past);
			this.past = past.then(() => this.trace.join());
		}
		this.#noteSocket();
		on(this.client, 'wire', (seen) => this.trace.add(seen));
	}

	/** Makes the views, with what was before a reload. */
	async open() {
		await this.past;
		this.views = [new TalkView(this), new TurnsView(this), new WireView(this), new RestView(this), new SystemView(this), new RecordingsView(this), new LabView(this)];
		this.views.forEach((view, at) => { [view.id, view.title] = VIEWS[at]; });
	}

	/** A refusal ends the session here: the next sign-in may go on with it. */
	#ticket() {
		return this.account.ticket().catch((error) => {
			if (error instanceof JarvisError) this.park();
			throw error;
		});
	}

	/** Keep it for a reload. */
	park() {
		const parked = this.client.park();
		if (parked) park(parked, this.keeper, this.voice.sounding);
	}

	get userId() {
		return this.client.ready?.user.user_id ?? '';
	}

	/** The socket's events, for the Wire: browsers show no handshake. */
	#noteSocket() {
		const note = (type, fields) => this.trace.note({ type, ...fields });
		const { client } = this;
		on(client, 'state', (state) => { if (state === 'connecting') note('socket.handshake', { session_id: client.sessionId, after_seq: client.lastSeq }); });
		on(client, 'disconnected', (why) => note('socket.closed', why));
		on(client, 'resumed', ({ took_ms: took, replayed, taken_seq: taken }) => note('socket.resumed', { took_ms: took, messages_replayed: replayed, commands_taken: taken }));
		on(client, 'failed', ({ code, message }) => note('socket.refused', { code, message }));
	}

	look(trace) {
		if (!this.traces.includes(trace)) this.traces.push(trace);
		this.source = trace;
		this.dispatchEvent(new Event('source'));
	}

	forget(trace) {
		trace.stop?.();
		this.traces = this.traces.filter((each) => each !== trace);
		if (this.source === trace) this.look(this.trace);
	}

	showTurn(turn) {
		location.hash = `#turns/${turn.key}`;
	}

	confirm(...answer) {
		this.client.confirm(...answer).catch((error) => this.fault(error));
	}

	fault(error) {
		toast(error.message, 'bad');
	}
}

class Shell {
	session = null;
	shown = null;
	places = new WeakMap();
	pulse = null;
	account = new Account();

	async start() {
		applyTheme();
		this.#tools();
		fill($('nav'), VIEWS.map(([id, title], index) => h('a', { href: `#${id}`, 'data-view': id, title: `${title} (${index + 1})` }, icon(id), h('span', title))));
		on(window, 'hashchange', () => (/[#&](token|code)=/.test(location.hash) ? location.reload() : this.#route()));
		shortcuts(this);
		const fault = await this.account.readAddress();
		on(window, 'pagehide', () => { this.session?.park(); this.session?.keeper.flush(); });
		window.addEventListener('pageshow', ({ persisted }) => persisted && unpark()); // it lives on, and a duplicate must not find its session
		if (this.account.isKnown) this.#goOn();
		else this.#askWho(fault);
	}

	#tools() {
		const next = { auto: ['dark', 'auto'], dark: ['light', 'moon'], light: ['auto', 'sun'] };
		const theme = pictureButton('auto', '', () => { choose('theme', next[settings.theme][0]); show(); }, { id: 'theme' });
		const show = () => fill(set(theme, { aria: `Theme: ${settings.theme}`, title: `Theme: ${settings.theme}` }), icon(next[settings.theme][1]));
		show();
		this.leave = pictureButton('out', 'Sign out', () => this.#signOut(), { hidden: true });
		fill($('tools'), pictureButton('keys', 'Keyboard shortcuts', openShortcuts), theme, this.leave);
	}

	#askWho(why = '') {
		this.#end();
		this.leave.hidden = true;
		$('nav').hidden = true;
		text($('about'), '');
		this.#status('signed-out', 'not signed in');
		this.#show(signIn(this.account, () => this.#goOn(), why));
		document.querySelector('input')?.focus();
	}

	#end() {
		this.#leave();
		this.session?.keeper.leave();
		this.session?.voice.realtime?.socket.close(1000);
		this.session?.health.stop();
		$('services').hidden = true;
		this.shown = this.session = null;
	}

	/** With the session of before, if it is this user's. */
	#goOn() {
		const parked = unpark();
		this.#connect(tried(() => (parked.client.ready.user.user_id === this.account.userId ? new Session(this.account, parked) : undefined)));
	}

	async #signOut() {
		await this.session?.keeper.flush();
		this.session?.client.close();
		await this.session?.voice.stop();
		await this.account.signOut();
		this.#askWho();
	}

	async #connect(session = new Session(this.account)) {
		this.session = session;
		this.leave.hidden = false;
		$('nav').hidden = false;
		this.#listen(session);
		on(session.health, 'news', () => this.#showTroubled(session.health.troubled));
		session.health.start();
		session.client.connect({ keepTrying: true }).catch(() => undefined); // `failed` tells
		this.pulse ??= setInterval(() => { if (!document.hidden) this.session?.client.ping(); }, PING_EVERY_MS);
		if (session.past) this.#show(empty('recordings', 'Reading the past…'));
		await session.open();
		if (this.session === session) this.#route();
	}

	#listen({ client, account, sounded }) {
		let before = client.ready;
		on(client, 'state', (state) => this.#onState(state));
		on(client, 'ready', (ready) => { if (before) toast('The session could not be resumed: a new one began.', 'bad'); before = ready; });
		on(client, 'resumed', ({ took_ms: took, replayed }) => {
			if (took > 0) toast(`Back after ${ms(took)}, nothing lost${replayed > 0 ? `: ${counted(replayed, 'message')} came again` : ''}.`, 'good');
			else if (sounded) toast('A reload ends the sound: the reply goes on in writing.');
		});
		on(client, 'disconnected', (detail) => this.#onDisconnected(detail));
		on(client, 'pong', () => this.#about());
		on(client, 'draining', () => toast('The gateway is restarting; this session moves on by itself.'));
		on(client, 'error', (error) => { if (error.code !== 'DRAINING') toast(`${error.code}: ${error.message}. ${hint(error.code)}`, 'bad'); });
		on(client, 'auth.expiring', () => account.renew().then((token) => client.refreshAuth(token)).catch((error) => this.session?.fault(error)));
		on(client, 'failed', (error) => this.#onFailed(error));
	}

	#onState(state) {
		const words = { connecting: 'connecting', online: 'connected', waiting: 'reconnecting', failed: 'refused', closed: 'signed out' }[state] ?? state;
		this.#status(state, words);
		clearTimeout(this.slow);
		if (state === 'online') { this.#banner(); this.#about(); }
		if (state === 'connecting') this.slow = setTimeout(() => this.#banner(h('span', h('strong', 'Still connecting.'), ' The gateway does not answer yet. What you say or type is kept, and sent then.')), SLOW_MS);
	}

	/** Services that are down, on every view. */
	#showTroubled(troubled) {
		const shown = $('services');
		shown.hidden = troubled.length === 0;
		text(shown, `${troubled.map(({ name }) => name).join(', ')} down`);
		shown.title = troubled.map(({ name, why }) => `${name}: ${why}`).join('\n');
	}

	#about() {
		const { client } = this.session;
		const { user } = client.ready ?? {};
		text($('about'), user ? `${user.username || user.user_id} · ${client.sessionId} · ${ms(client.rttMs)}` : '');
	}

	#onDisconnected({ code, reason, retry_in_ms: wait }) {
		if (wait === null || wait < 1_000) return;
		const words = !navigator.onLine ? 'This computer is offline.' : code === CUT ? 'The socket was cut.' : 'The gateway cannot be reached.';
		this.#banner(h('span', h('strong', words), ` ${reason && code !== CUT ? `It said: ${reason}. ` : ''}What you have said is kept; trying again within ${Math.ceil(wait / 1000)} s. `), button('Try now', () => this.session?.client.retryNow()));
	}

	#onFailed(error) {
		this.session?.voice.stop();
		if (['4510', 'SESSION_TAKEN_OVER'].includes(error.code)) {
			this.#banner('This session was opened elsewhere, and goes on there. ', button('Begin another here', () => { this.#end(); this.#connect(); }));
			return;
		}
		this.account.forget();
		this.#askWho(`${sentence(error.message)} (${error.code}). Sign in again.`);
	}

	#status(state, words) {
		$('status').dataset.state = state;
		text($('status').querySelector('.words'), words);
	}

	#banner(...content) {
		$('banner').hidden = content.length === 0;
		fill($('banner'), content);
	}

	#route() {
		if (!this.session?.views.length) return;
		const [id, link] = location.hash.slice(1).split('/');
		if (id === 'main' && this.shown) return; // the link that skips to the view
		const named = this.session.views.find((each) => each.id === id);
		if (id && id !== 'main' && !named) missing(`A view called ${id}`);
		const view = named ?? this.session.views[0];
		if (view === this.shown) { if (link) view.openLink?.(link); return; }
		this.#leave();
		if (this.shown) this.places.set(this.shown, places(this.shown.element));
		this.shown = view;
		for (const link of $('nav').children) link.setAttribute('aria-current', link.dataset.view === view.id ? 'page' : 'false');
		document.title = `${view.title} · Jarvis console`;
		this.#show(view.element);
		view.show();
		for (const [part, top] of this.places.get(view) ?? []) part.scrollTop = top;
		if (link) view.openLink?.(link);
	}

	/** Of the view that was shown. */
	#leave() {
		clearInterval(this.shown?.timer);
		this.shown?.hide?.();
	}

	#show(element) {
		for (const old of [...$('main').children]) if (old.id !== 'banner') old.remove();
		$('main').append(element);
	}
}

/** Scroll positions, lost when a view leaves the page. A part at its end stays there. */
function places(element) {
	const parts = [element, ...element.querySelectorAll('*')];
	const top = (part) => (part.scrollTop + part.clientHeight > part.scrollHeight - AT_END_PX ? Number.MAX_SAFE_INTEGER : part.scrollTop);
	return parts.filter((part) => part.scrollTop > 0).map((part) => [part, top(part)]);
}

new Shell().start();
