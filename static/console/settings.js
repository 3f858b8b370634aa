// The user's settings, kept in this browser.

const KEY = 'jarvis.console';

export const settings = {
	theme: 'auto', mode: 'open', voice: '', speed: '1', language: 'en-US', reply: 'audio', device: '', rate: 'device', output: '',
};

try {
	const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}');
	for (const name of Object.keys(settings)) if (typeof kept[name] === 'string') settings[name] = kept[name];
} catch {
	// no storage, or unknown content: use the defaults
}

export function choose(name, value) {
	settings[name] = value;
	try {
		localStorage.setItem(KEY, JSON.stringify(settings));
	} catch {
		// private windows may refuse to store it; it then lasts until the page is left
	}
	if (name === 'theme') applyTheme();
}

export function applyTheme() {
	document.documentElement.dataset.theme = settings.theme;
}
