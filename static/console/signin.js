// Sign-in by name and password, or a token; in development without either.

import { button, field, h, icon, text } from './dom.js';
import { sentence } from './format.js';

const HERE = new Set(['localhost', '127.0.0.1', '[::1]']);

/** `why`: what went wrong before. */
export function signIn(account, onDone, why = '') {
	const fault = h('p.fault', { role: 'alert', hidden: why === '' }, icon('warn'), h('span', why));
	const name = h('input', { name: 'username', autocomplete: 'username', required: true });
	const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
	const token = h('textarea', { rows: 3, spellcheck: false, autocomplete: 'off', placeholder: 'eyJ…' });
	const enter = h('button.primary', 'Sign in');

	const attempt = async (event) => {
		event.preventDefault();
		enter.disabled = true;
		try {
			await account.signIn(name.value, password.value);
			onDone();
		} catch (error) {
			text(fault.lastChild, `${sentence(error.message)}. Check name and password, or ask an operator for: python -m server user add NAME`);
			fault.hidden = false;
		}
		enter.disabled = false;
	};

	const paste = () => {
		if (!token.value.trim()) return;
		account.keep(token.value.trim());
		onDone();
	};

	const developer = h('div.field', { hidden: !HERE.has(location.hostname) }, button('Continue as developer', async () => { await account.develop(); onDone(); }),
		h('span.hint', 'Where the gateway runs with DEBUG on this machine.'));

	return h('section.gate', { aria: 'Sign in' }, h('form.card', { id: 'sign-in', onsubmit: attempt },
		h('h2', 'Sign in'), h('p.soft', 'To speak with this gateway, and to see what it does.'), fault,
		field('Name', name), field('Password', password), enter,
		h('details', h('summary', 'Use a token'), field('Access token', token, 'The start prints one under DEBUG, with a link that brings it along.'), button('Continue', paste)), developer));
}
