// What a turn is asked with: a few choices in Talk, all in the Lab with what they mean.

import { choices, field, fill, h, select } from './dom.js';
import { sentence } from './format.js';
import { choose, settings } from './settings.js';

const family = (language) => language.split('-')[0];
const pairs = (values, words = String) => values.map((value) => [value, words(value)]);

const CHOICES = {
	language: ['Language', 'What is spoken. It chooses the recogniser’s language, and the voices on offer.', [['en-US', 'en-US']]],
	voice: ['Voice', 'Who answers. A voice belongs to an engine: choosing it chooses that one.', [['', 'Default']]],
	speed: ['Speed', 'Of the answer. Its pitch stays.', pairs(['0.75', '1', '1.25', '1.5', '2'], (speed) => `${speed} ×`)],
	reply: ['Answer', 'In writing: no speech is made, and no loudspeaker waited for.', [['audio', 'Aloud'], ['text', 'In writing']]],
	mode: ['End of a turn', 'By the gateway: silence and words tell it that you have finished. By hand: when you let go of the button, or the recording ends.', [['open', 'By the gateway'], ['push', 'By hand']]],
	dialect: ['Dialect', 'What this page speaks with the gateway: the Wire shows it. OpenAI’s has a session of its own, which a reload ends.', [['jarvis', 'jarvis.v1'], ['openai', 'OpenAI']]],
	device: ['Microphone', 'Which one is opened, the next time that you speak.', [['', 'Default']]],
	rate: ['Rate', 'Device: the gateway resamples, once. 16 kHz: the browser does, and a third of the bytes is sent.', [['device', 'Device'], ['16000', '16 kHz']]],
	output: ['Loudspeaker', 'Where answers sound. Firefox and Safari leave that to the system.', [['', 'Default']]],
};

/** What hears and speaks, as far as the gateway says. */
export function enginesOf({ ready }) {
	const { stt, tts } = ready?.engines ?? {};
	return sentence([stt && `heard by ${stt}`, tts && `spoken by ${tts}`].filter(Boolean).join(', '));
}

const OF_MICROPHONE = ['device', 'rate', 'mode', 'language', 'dialect'];

export class Choices {
	/** `names`: not all, and unexplained. */
	constructor(session, names) {
		this.session = session;
		this.made = Object.fromEntries((names ?? Object.keys(CHOICES)).map((name) => [name, select(CHOICES[name][2], settings[name], (value) => this.#choose(name, value))]));
		this.element = h('div.fields', Object.entries(this.made).map(([name, made]) => field(CHOICES[name][0], made, names ? '' : CHOICES[name][1])));
	}

	#choose(name, value) {
		const { voice } = this.session;
		choose(name, value);
		if (OF_MICROPHONE.includes(name) && voice.isOn) voice.stop();
		if (name === 'output') voice.route();
		if (name === 'language') this.#offerVoices();
	}

	/** What was chosen elsewhere, and what there is to choose from by now. */
	async show() {
		for (const [name, made] of Object.entries(this.made)) made.value = settings[name];
		const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
		for (const [name, kind] of [['device', 'audioinput'], ['output', 'audiooutput']]) {
			const found = devices.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
			this.#offer(name, [['', 'Default'], ...found.map(({ deviceId, label }, index) => [deviceId, label || `${CHOICES[name][0]} ${index + 1}`])]);
		}
		if (!this.voices) await this.#loadVoices();
	}

	async #loadVoices() {
		try {
			const { client, health: { health } } = this.session;
			({ voices: this.voices } = await client.call('voice.voices', {}));
			const heard = health?.services?.stt?.languages; // by a recogniser that says so
			const spoken = this.voices.map(({ language }) => language).filter((language) => !heard || heard.includes(family(language)));
			this.#offer('language', pairs([...new Set([settings.language, ...spoken])].sort()));
			this.#offerVoices();
		} catch {
			// the service is down: asked again when the view is shown again
		}
	}

	#offerVoices() {
		const found = (this.voices ?? []).filter(({ language }) => family(language) === family(settings.language));
		this.#offer('voice', [['', 'Default'], ...found.map(({ id, name, language }) => [id, `${name} (${language})`])]);
	}

	#offer(name, options) {
		const made = this.made[name];
		if (!made) return;
		fill(made, choices(options));
		made.value = settings[name];
		if (made.selectedIndex < 0) made.value = '';
	}
}
