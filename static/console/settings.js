// The user's settings, kept in this browser.

const KEY = 'jarvis.console';

export const settings = {
	theme: 'auto', mode: 'open', voice: '', speed: '1', language: 'en-US', reply: 'audio', device: '', rate: 'device', output: '', dialect: 'jarvis',
};

/** Undefined if it throws, as browsers do that store nothing. */
export function tried(act) {
	try {
		return act();
	} catch {
		return undefined;
	}
}

const kept = tried(() => JSON.parse(localStorage.getItem(KEY))) ?? {};
for (const name of Object.keys(settings)) if (typeof kept[name] === 'string') settings[name] = kept[name];
if (!['dark', 'light'].includes(settings.theme)) settings.theme = 'auto';

export function choose(name, value) {
	settings[name] = value;
	tried(() => localStorage.setItem(KEY, JSON.stringify(settings)));
	if (name === 'theme') applyTheme();
}

export function applyTheme() {
	document.documentElement.dataset.theme = settings.theme;
}
