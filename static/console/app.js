// The debug console: sign in, speak, see what happens. It stands on jarvis-client.js, which others may copy.

import { JarvisClient, JarvisError, Microphone, Speaker } from '../jarvis-client.js';
import { TurnView } from './turns.js';
import { WireView } from './wire.js';

const SILENCE_MS = 1_000; // behind a WAV file: its last word has to be heard to end
const FRAME_BYTES = 640; // 20 ms at 16 kHz

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

/** One conversation. */
class Console {
  /** @type {TurnView | null} */ current = null;
  /** @type {Map<string, TurnView>} */ turns = new Map();
  ptsMs = 0;

  constructor(token, userId) {
    const url = location.origin.replace(/^http/, 'ws');
    this.client = new JarvisClient(url, token ? { token } : { userId });
    this.wire = new WireView($('wire'), $('counts'));
    this.speaker = new Speaker((report) => this.onPlayed(report));
    this.microphone = new Microphone((pcm, level) => this.onSound(pcm, level));
    this.client.addEventListener('wire', ({ detail }) => this.wire.add(detail));
    this.client.addEventListener('disconnected', () => status('connecting', 'connection lost, coming back…'));
    this.client.addEventListener('resumed', () => status('online', 'back, nothing was lost'));
    this.client.addEventListener('ready', ({ detail }) => this.onReady(detail));
    this.client.addEventListener('failed', ({ detail }) => status('failed', `${detail.code}: ${detail.message}`));
  }

  onReady(ready) {
    const down = Object.entries(ready.services).filter(([, state]) => state !== 'up').map(([name]) => name);
    status('online', `${ready.user.username || ready.user.user_id}${down.length ? `, down: ${down.join(', ')}` : ''}`);
    for (const id of ['microphone', 'text', 'wav', 'cut']) $(id).disabled = false;
    $('text-turn').querySelector('button').disabled = false;
    this.channel = null;
  }

  /** The open microphone's channel, made when it is first needed. */
  turnChannel() {
    if (!this.channel || this.channel.isClosed) this.channel = this.listenTo(this.client.open('turn', {}));
    return this.channel;
  }

  listenTo(channel) {
    const handlers = {
      'stt.speech_started': () => { this.current = null; },
      'stt.partial': (m) => this.view().heard(m.text, false),
      'stt.final': (m) => this.onFinal(m),
      'turn.intent': (m) => this.view(m).step(`intent ${m.intent} ${Object.keys(m.entities).length ? JSON.stringify(m.entities) : ''}`),
      'turn.plan': (m) => this.view(m).step(m.steps.length ? `plan   ${m.goal}: ${m.steps.map((s) => s.description).join(', ')}` : ''),
      'turn.safety': (m) => this.view(m).step(m.verdict === 'allow' ? '' : `safety ${m.verdict}: ${(m.reasons ?? []).join(', ')}`),
      'task.progress': (m) => this.view(m).step(m.data ?? `       ${m.message}`),
      'task.confirmation_required': (m) => this.view(m).ask(m, (approve) => this.confirm(m, approve)),
      'task.result': (m) => this.onTask(m),
      'turn.reply': (m) => this.view(m).reply(m.text),
      'tts.started': (m) => { this.spoken = this.view(m); this.speaker.begin(m.sample_rate); },
      'tts.words': (m) => this.view(m).words(m.words),
      audio: (frame) => this.speaker.play(frame.payload, frame.ptsMs),
      'turn.interrupted': (m) => { this.speaker.flush(); this.view(m).step(`       interrupted after “${m.heard_text}”`); },
      'turn.latency': (m) => this.view(m).took(m.stages),
      error: (m) => this.view(m).error(`${m.code}: ${m.message}`),
      closed: (m) => { if (m.status === 'error') this.view().error(`${m.code}: ${m.message}`); },
    };
    for (const [type, handle] of Object.entries(handlers)) channel.addEventListener(type, ({ detail }) => handle(detail));
    this.playing = channel;
    return channel;
  }

  /** The entry of a message's turn: the one being heard becomes the turn's when its first message comes. */
  view(message) {
    const id = message?.turn_id;
    if (id && this.turns.has(id)) return this.turns.get(id);
    $('empty').hidden = true;
    this.current ??= new TurnView($('turns'));
    const view = this.current;
    if (id) {
      this.turns.set(id, view);
      this.current = null;
    }
    return view;
  }

  onFinal(message) {
    if (!message.text && !this.current) return;
    this.view().heard(message.text, true);
    if (!message.text) this.current = null;
  }

  onTask(message) {
    const view = this.view(message);
    if (message.status !== 'ok') view.step(`task   ${message.status} ${message.message ?? ''}`);
    if (message.result?.image_base64) view.picture(message.result.image_base64, message.result.media_type);
  }

  async confirm(message, approve) {
    try {
      await this.client.confirm(message.confirmation_id, approve);
    } catch (error) {
      this.view(message).error(error.message);
    }
  }

  onPlayed({ bytes, playedMs }) {
    this.playing?.played(bytes, playedMs);
    this.spoken?.played(playedMs);
  }

  onSound(pcm, level) {
    $('level').style.transform = `scaleX(${Math.min(1, level * 1.5)})`;
    this.turnChannel().sendAudio(new Uint8Array(pcm), this.ptsMs);
    this.ptsMs += 20;
  }

  async loud() {
    if (!this.speaker.context) await this.speaker.start();
  }

  async toggleMicrophone() {
    const button = $('microphone');
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    button.querySelector('.label').textContent = on ? 'Stop' : 'Speak';
    if (!on) {
      await this.microphone.stop();
      this.channel?.end();
      this.channel = null;
      return;
    }
    try {
      await this.loud();
      await this.microphone.start();
    } catch (error) {
      button.setAttribute('aria-pressed', 'false');
      button.querySelector('.label').textContent = 'Speak';
      this.view().error(`No microphone: ${error.message}. Allow it for this page, or type, or play a WAV.`);
    }
  }

  async say(text) {
    await this.loud();
    this.current = null;
    this.view().heard(text, true);
    this.listenTo(this.client.open('turn', { text }));
  }

  /** A file as if it were spoken: decoded and resampled by the browser, sent in real time. */
  async play(file) {
    await this.loud();
    const decoder = new OfflineAudioContext(1, 1, 16_000);
    const audio = await decoder.decodeAudioData(await file.arrayBuffer());
    const pcm = new Int16Array(audio.length + (16 * SILENCE_MS));
    audio.getChannelData(0).forEach((sample, index) => { pcm[index] = Math.max(-1, Math.min(1, sample)) * 0x7fff; });
    const bytes = new Uint8Array(pcm.buffer);
    const channel = this.turnChannel();
    const began = performance.now();
    for (let at = 0; at < bytes.byteLength; at += FRAME_BYTES) {
      const wait = began + at / 32 - performance.now();
      if (wait > 0) await new Promise((resolve) => { setTimeout(resolve, wait); });
      channel.sendAudio(bytes.slice(at, at + FRAME_BYTES), at / 32);
    }
  }
}

function status(state, text) {
  $('status').dataset.state = state;
  $('status').textContent = text;
}

/** The token of the link that the start printed, read once and taken out of the address. */
function tokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) {
    history.replaceState(null, '', location.pathname);
    sessionStorage.setItem('token', token);
  }
  return token ?? sessionStorage.getItem('token');
}

async function signIn(form) {
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch('/api/v1/auth/token', { method: 'POST', headers, body });
  const document = await answer.json();
  if (!answer.ok) throw new JarvisError(document.code, document.detail);
  sessionStorage.setItem('token', document.access_token);
  return document.access_token;
}

async function start(token) {
  $('sign-in').hidden = true;
  status('connecting', 'connecting…');
  const view = new Console(token, '');
  bind(view);
  try {
    await view.client.connect();
  } catch {
    sessionStorage.removeItem('token');
    $('sign-in').hidden = false;
  }
}

function bind(view) {
  const on = (id, type, act) => { $(id)[`on${type}`] = act; };
  on('microphone', 'click', () => view.toggleMicrophone());
  on('cut', 'click', () => view.client.cut());
  on('wav', 'change', (event) => event.target.files[0] && view.play(event.target.files[0]));
  on('text-turn', 'submit', (event) => {
    event.preventDefault();
    const text = $('text').value.trim();
    $('text').value = '';
    if (text) view.say(text);
  });
  document.onkeydown = (event) => {
    if (event.code !== 'Space' || event.repeat || /INPUT|BUTTON|TEXTAREA/.test(event.target.tagName)) return;
    event.preventDefault();
    view.toggleMicrophone();
  };
}

$('sign-in').onsubmit = async (event) => {
  event.preventDefault();
  try {
    await start(await signIn(event.target));
  } catch (error) {
    status('failed', error.message);
  }
};

const token = tokenFromAddress();
if (token) start(token);
else {
  $('sign-in').hidden = false;
  status('offline', 'not signed in');
}
