// The console's user: obtains the token and refreshes it. Tokens stay in this tab.

import { JarvisError } from '../jarvis-client.js';
import { tried } from './settings.js';

const TOKEN = 'jarvis.token';
const REFRESH = 'jarvis.refresh';
const AHEAD_MS = 60_000; // refreshed this long before it expires

export class Account {
	token = tried(() => sessionStorage.getItem(TOKEN)) ?? '';
	refreshToken = tried(() => sessionStorage.getItem(REFRESH)) ?? '';
	/** Under DEBUG, a user name is enough for the socket. */ debugUser = '';

	/** A link may have a token, or a code that signs in once. Both are removed from the address. Gives the error; empty if none. */
	async readAddress() {
		const given = new URLSearchParams(location.hash.slice(1));
		const [token, code] = [given.get('token'), given.get('code')];
		if (!token && !code) return '';
		history.replaceState(null, '', location.pathname + location.search);
		if (token) this.keep(token);
		if (!code) return '';
		return await this.#developed(`?code=${encodeURIComponent(code)}`) || this.isKnown ? '' : 'That link was used already, or is too old.';
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

	get expiresInMs() {
		const { exp } = tried(() => JSON.parse(atob(this.token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))) ?? {};
		return typeof exp === 'number' ? exp * 1000 - Date.now() : Infinity;
	}

	/** For a gateway with DEBUG: a development token if it runs on this machine; else a name, which is enough for its sockets. */
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
		return this.refreshToken && this.expiresInMs < AHEAD_MS ? this.renew() : this.token;
	}

	/** Another token, whatever this computer's clock says of the old one. */
	async renew() {
		if (!this.refreshToken) throw new Error('Your token ends soon: sign in again.');
		const pair = await this.#post('/api/v1/auth/refresh', { refresh_token: this.refreshToken });
		this.keep(pair.access_token, pair.refresh_token);
		return this.token;
	}

	/** A ticket for one socket, because a token in an address would end up in logs. */
	async ticket() {
		const asked = (token) => this.#post('/api/v1/auth/ticket', undefined, token);
		const { ticket } = await asked(await this.fresh()).catch(async (error) => {
			if (error.code !== 'TOKEN_EXPIRED' || !this.refreshToken) throw error;
			return asked(await this.renew());
		});
		return ticket;
	}

	async #post(path, body, token) {
		const headers = { Accept: 'application/json' };
		if (body) headers['Content-Type'] = 'application/json';
		if (token) headers.Authorization = `Bearer ${token}`;
		const answer = await fetch(path, { method: 'POST', headers, body: body && JSON.stringify(body) });
		if (answer.status === 204) return {};
		const document = await answer.json().catch(() => ({}));
		if (answer.ok) return document;
		if (answer.status === 429 || answer.status >= 500) throw new Error(document.detail ?? `the gateway answers ${answer.status}`);
		throw new JarvisError(document.code ?? String(answer.status), document.detail ?? 'the gateway refused');
	}
}
