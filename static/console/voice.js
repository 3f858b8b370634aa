// Speech, text and audio files become turns, and the replies are played.

import { Microphone, Speaker } from '../jarvis-client.js';
import { on } from './dom.js';
import { settings } from './settings.js';

const FILE_TAIL_MS = 1_200; // silence after a file, for its last word
const SCOPE_FRAMES = 320;

/** Events: `change` (microphone, mode, or speaking), `fault` (an Error). */
export class Voice extends EventTarget {
	microphone = null;
	channel = null;
	/** What is typed, and its words while they are not sent. */ #texts = new Map();
	/** `off`, `starting`, `open`, `armed`, `held` or `file`. */ state = 'off';
	speaker = new Speaker();
	analyser = null;
	sounding = 0;
	stats = { queuedMs: 0, targetMs: 60, underruns: 0, droppedMs: 0 };
	/** The microphone's latest peak levels, one per 20 ms. */ heard = new Float32Array(SCOPE_FRAMES);

	constructor(client, trace, account) {
		super();
		this.account = account;
		this.client = client;
		this.trace = trace;
	}

	#become(state = this.state) {
		this.state = state;
		this.dispatchEvent(new Event('change'));
	}

	#fault(error) {
		this.dispatchEvent(new CustomEvent('fault', { detail: error }));
	}

	/** Enable sound; needs a click or key press. */
	async loud() {
		await this.speaker.start();
		if (this.analyser || !this.speaker.context) return;
		this.analyser = this.speaker.context.createAnalyser();
		this.analyser.fftSize = 1024;
		this.speaker.output?.connect(this.analyser);
		if (settings.output) await this.route();
	}

	/** To where the settings say, in browsers that let a page choose. */
	async route() {
		await this.speaker.context?.setSinkId?.(settings.output).catch((error) => this.#fault(error));
	}

	#params() {
		const { voice, speed, language, reply } = settings;
		const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
		return { language, reply, ...(voice && { voice }), ...(speed !== '1' && { speed: Number(speed) }), ...(zone && { time_zone: zone }) };
	}

	/** `before`: the channel of a lost session in which it waited. */
	async say(text, before) {
		const reply = await this.loud().then(() => settings.reply, () => 'text'); // offline
		if (settings.dialect === 'openai') return (await this.#openai()).say(text);
		const waits = this.client.state !== 'online';
		const channel = this.client.open('turn', { ...this.#params(), reply, text });
		if (waits) this.trace.note({ type: 'typed.waiting', channel: channel.number, before, text });
		this.#follow(channel, waits ? text : '');
		if (reply !== 'text') this.hear(channel);
	}

	/** Of OpenAI's dialect; its code comes when it is first used. */
	async #openai() {
		const { Realtime } = await import('./openai.js');
		if (this.realtime && !this.realtime.isClosed) return this.realtime;
		this.realtime = new Realtime(this.trace, await this.account.fresh());
		on(this.realtime, 'busy', () => this.#become());
		on(this.realtime, 'closed', (told) => { if (told.status === 'error') this.#fault(told); this.#onClosed(this.realtime, told); });
		this.hear(this.realtime);
		return this.realtime;
	}

	#follow(channel, unsent) {
		this.#texts.set(channel, unsent);
		on(channel, 'channel.opened', () => this.#texts.has(channel) && this.#texts.set(channel, ''));
		on(channel, 'closed', (told) => {
			const words = this.#texts.get(channel);
			this.#texts.delete(channel);
			if (words && told.code === 'SESSION_LOST') this.say(words, channel.number); // in the next session
			else if (words) this.trace.note(told);
			this.#become();
		});
		this.#become();
	}

	/** After a reload, turns go on as text: no sound before a click. `commands`: not sent yet; `past`: when it was told. */
	goOn(commands, past) {
		for (const channel of this.client.channels) {
			const unsent = commands.find(({ command }) => command.type === 'channel.open' && command.channel === channel.number)?.command.params.text ?? '';
			if (channel.kind === 'turn' || channel.kind === 'tts') {
				this.#follow(channel, unsent);
				this.trace.note({ type: 'playout.written', channel: channel.number });
				let told = 0;
				on(channel, 'audio', ({ payload, ptsMs, flags }) => { // one for each frame would be a flood
					const due = flags & 1 || Math.abs(ptsMs - told) >= 400;
					channel.played(payload.byteLength, due ? (told = ptsMs) : undefined);
				});
			}
			if (channel.kind === 'turn') past.then(() => { if (!this.trace.turns.isTyped(channel.number)) channel.end(); });
			if (channel.kind === 'observe') channel.cancel();
		}
	}

	/** Play a channel's speech, and record when it sounds. */
	hear(channel) {
		const playout = this.speaker.play(channel);
		const note = (type, detail = {}) => this.trace.note({ type, channel: channel.number, ...detail });
		let sounds = false;
		const sound = (on) => {
			if (on === sounds) return;
			sounds = on;
			this.sounding += on ? 1 : -1;
			this.#become();
		};
		on(playout, 'report', (stats) => { this.stats = stats; });
		on(playout, 'sounding', () => { note('playout.sounding'); sound(true); });
		on(playout, 'silent', () => { if (sounds) note('playout.silent'); sound(false); });
		on(playout, 'underrun', (stats) => note('playout.underrun', stats));
	}

	// --- microphone

	get isOn() {
		return this.state !== 'off';
	}

	/** Open mic: start or stop. Push-to-talk: switch the device on or off. */
	async toggle() {
		if (this.isOn) await this.stop();
		else await this.#start(settings.mode === 'push' ? 'armed' : 'open');
	}

	async press() {
		if (this.state === 'off') await this.#start('armed');
		if (this.state !== 'armed' || !this.microphone) return;
		this.microphone.isMuted = false;
		this.#become('held');
	}

	release() {
		if (this.state !== 'held' || !this.microphone) return;
		this.microphone.isMuted = true;
		this.channel?.commit();
		this.#become('armed');
	}

	async #start(state, recording) {
		this.#become('starting');
		let microphone;
		try {
			await this.loud();
			const other = settings.dialect === 'openai' ? await this.#openai() : null;
			microphone = new Microphone({ deviceId: settings.device || undefined, sampleRate: other?.rate ?? (Number(settings.rate) || undefined) });
			microphone.isMuted = state === 'armed';
			on(microphone, 'frame', ({ level }) => this.#onFrame(level));
			on(microphone, 'ended', () => setTimeout(() => { if (this.microphone === microphone) this.stop(); }, FILE_TAIL_MS));
			await microphone.start(recording);
			this.microphone = microphone;
			this.#listen(state, other);
			this.#become(state);
		} catch (error) {
			await microphone?.stop();
			this.#become('off');
			this.#fault(new Error(trouble(error)));
		}
	}

	#listen(state, other = null) {
		const rate = this.microphone?.sampleRate ?? 16_000;
		const endpointing = state === 'open' || (state === 'file' && settings.mode === 'open');
		const channel = other ?? this.client.open('turn', { ...this.#params(), sample_rate: rate, endpointing });
		if (other) other.listen(endpointing);
		else {
			on(channel, 'closed', (told) => this.#onClosed(channel, told));
			this.hear(channel);
		}
		this.channel = channel;
		this.microphone?.sendTo(channel);
	}

	/** Lost sessions and cancelled turns leave the microphone on; a failed service does not. */
	#onClosed(channel, message) {
		if (this.channel !== channel) return;
		this.channel = null;
		const goesOn = message.status === 'cancelled' || message.code === 'SESSION_LOST';
		if (this.isOn && goesOn && this.client.state !== 'closed') this.#listen(this.state === 'held' ? 'armed' : this.state);
		else if (this.isOn) this.stop();
	}

	#onFrame(level) {
		this.heard.copyWithin(0, 1);
		this.heard[SCOPE_FRAMES - 1] = this.microphone?.isMuted ? 0 : level;
	}

	async stop() {
		const { microphone, channel } = this;
		this.microphone = this.channel = null;
		this.#become('off');
		channel?.end();
		await microphone?.stop();
	}

	async playFile(file) {
		try {
			const decoder = new OfflineAudioContext(1, 1, 48_000);
			const recording = await decoder.decodeAudioData(await file.arrayBuffer());
			await this.playSound(recording);
		} catch {
			this.#fault(new Error(`${file.name} is no sound that this browser can read. Choose a WAV, MP3, Ogg or FLAC file.`));
		}
	}

	async playSound(recording) {
		if (this.isOn) await this.stop();
		await this.#start('file', recording);
	}

	get isBusy() {
		return this.sounding > 0 || this.#texts.size > 0 || this.realtime?.isBusy;
	}

	hush() {
		for (const [channel, words] of this.#texts) {
			channel.cancel();
			if (!words) continue;
			this.#texts.delete(channel); // nobody has to answer first
			this.trace.note({ type: 'typed.cancelled', channel: channel.number });
		}
		this.#become();
		this.realtime?.cancel();
		if (this.channel !== this.realtime) this.channel?.cancel();
	}
}

function trouble(error) {
	if (error?.name === 'NotAllowedError') return 'The microphone is not allowed here. Allow it beside the address of this page, or type, or play a file.';
	if (error?.name === 'NotFoundError') return 'There is no microphone. Plug one in, or type, or play a file.';
	if (!globalThis.isSecureContext) return 'Browsers give the microphone to https and localhost only. Open the console there, or type, or play a file.';
	return `The microphone does not start: ${error?.message ?? error}. Type, or play a file.`;
}
