// The console's user. Tokens stay in this tab and its duplicates.

import { JarvisError } from '../jarvis-client.js';
import { tried } from './settings.js';

const TOKEN = 'jarvis.token';
const REFRESH = 'jarvis.refresh';
const AHEAD_MS = 60_000; // refreshed this long before it expires
const ANSWER_MS = 200; // for another tab to tell that it has a newer token
const PATIENCE_MS = 15_000;

/** Of a token; nothing if it is none. */
const claims = (token) => tried(() => JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))) ?? {};

export class Account {
	token = tried(() => sessionStorage.getItem(TOKEN)) ?? '';
	refreshToken = tried(() => sessionStorage.getItem(REFRESH)) ?? '';
	/** Under DEBUG, a user name is enough for the socket. */ debugUser = '';
	/** A refresh token used twice ends the sign-in: duplicated tabs share the newest. */ tabs = tried(() => new BroadcastChannel('jarvis.tabs'));

	constructor() {
		if (this.tabs) this.tabs.onmessage = ({ data }) => this.#hear(...data);
	}

	/** Of another tab. It takes the newer token of the same sign-in, or is told it. */
	#hear(token, refreshToken) {
		const [mine, theirs] = [this.token, token].map(claims);
		if (!mine.fam || mine.fam !== theirs.fam) return;
		if (theirs.iat > mine.iat) this.keep(token, refreshToken);
		else if (theirs.iat < mine.iat) this.#tell();
	}

	#tell() {
		this.tabs?.postMessage([this.token, this.refreshToken]);
	}

	/** A link's token, or code that signs in once; removed from the address. Gives the error; empty if none. */
	async readAddress() {
		const given = new URLSearchParams(location.hash.slice(1));
		const [token, code] = [given.get('token'), given.get('code')];
		if (!token && !code) return '';
		history.replaceState(null, '', location.pathname + location.search);
		if (token) this.keep(token);
		if (!code) return '';
		return await this.#developed(`?code=${encodeURIComponent(code)}`) || this.isKnown || await this.#developed('') ? '' : 'That link was used already, or is too old.';
	}

	keep(token, refreshToken = '') {
		Object.assign(this, { token, refreshToken });
		tried(() => { sessionStorage.setItem(TOKEN, token); sessionStorage.setItem(REFRESH, refreshToken); });
	}

	forget() {
		this.debugUser = '';
		this.keep('');
	}

	get isKnown() {
		return this.token !== '' || this.debugUser !== '';
	}

	get userId() {
		return this.debugUser || claims(this.token).sub;
	}

	get #endsSoon() {
		return claims(this.token).exp * 1000 - Date.now() < AHEAD_MS;
	}

	get #isRenewable() {
		return this.refreshToken !== '' || claims(this.token).sub === 'developer';
	}

	/** With DEBUG: a development token on this machine; else a name, enough for sockets. */
	async develop() {
		if (!await this.#developed('')) this.debugUser = 'developer';
	}

	async #developed(query) {
		const answer = await fetch(`/console/development-token${query}`).catch(() => null);
		if (answer?.ok) this.keep((await answer.json()).access_token);
		return answer?.ok;
	}

	async signIn(username, password) {
		const pair = await this.#post('/api/v1/auth/token', { username, password });
		this.keep(pair.access_token, pair.refresh_token);
	}

	async signOut() {
		if (this.token) await this.#post('/api/v1/auth/logout', undefined, this.token).catch(() => undefined);
		this.forget();
	}

	async fresh() {
		return this.#endsSoon && this.#isRenewable ? this.renew() : this.token;
	}

	/** Another token, whatever this computer's clock says of the old one. */
	async renew() {
		const before = this.token;
		if (!this.refreshToken && !(this.#isRenewable && await this.#developed(''))) throw new Error('Your token ends soon: sign in again.');
		if (this.token === before) await (globalThis.navigator?.locks?.request('jarvis.refresh', () => this.#refresh(before)) ?? this.#refresh(before));
		return this.token;
	}

	async #refresh(before) {
		this.#tell();
		await new Promise((resolve) => { setTimeout(resolve, ANSWER_MS); });
		if (this.token !== before) return; // another tab had done it
		const pair = await this.#post('/api/v1/auth/refresh', { refresh_token: this.refreshToken });
		this.keep(pair.access_token, pair.refresh_token);
		this.#tell();
	}

	/** For one socket: a token in an address would end up in logs. */
	async ticket() {
		const asked = (token) => this.#post('/api/v1/auth/ticket', undefined, token);
		const { ticket } = await asked(await this.fresh()).catch(async (error) => {
			if (error.code !== 'TOKEN_EXPIRED' || !this.#isRenewable) throw error;
			return asked(await this.renew());
		});
		return ticket;
	}

	async #post(path, body, token) {
		const headers = { Accept: 'application/json' };
		if (body) headers['Content-Type'] = 'application/json';
		if (token) headers.Authorization = `Bearer ${token}`;
		const answer = await fetch(path, { method: 'POST', headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) });
		const document = await answer.json().catch(() => ({}));
		if (answer.ok) return document;
		if (answer.status === 429 || answer.status >= 500) throw new Error(document.detail ?? `the gateway answers ${answer.status}`);
		throw new JarvisError(document.code ?? String(answer.status), document.detail ?? 'the gateway refused');
	}
}
