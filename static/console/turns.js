// Turns: each of the last fifty as bars on one axis of time, what was done in it, and how long such turns take.

import { Conversation } from './conversation.js';
import { button, empty, fill, h, onceAFrame, text } from './dom.js';
import { ms, percentile, pretty } from './format.js';
import { sourcePicker } from './sources.js';
import { durations, label, spans, waited } from './stages.js';
import { drawWaterfall } from './waterfall.js';

const MOST_TURNS = 50;
const STAGES = ['endpoint', 'final', 'intent', 'plan', 'safety', 'step', 'reply', 'first_byte', 'first_sound'];

export class TurnsView {
  id = 'turns';
  title = 'Turns';
  /** @type {import('./turnlog.js').Turn | null} */ picked = null;
  /** @type {[number, number] | null} the turn in detail, and its version */ shownTurn = null;

  /** @param {import('./app.js').Session} session */
  constructor(session) {
    this.session = session;
    this.draw = onceAFrame(() => this.#draw());
    this.listener = () => this.draw();
    this.list = h('div.turnlist', { role: 'listbox', 'aria-label': 'Turns, newest first', tabIndex: 0, onkeydown: (event) => this.#onKey(event) });
    this.detail = h('div.detail', { tabIndex: 0, role: 'region', 'aria-label': 'The chosen turn' });
    this.numbers = h('table.numbers');
    this.compare = h('div.compare', { tabIndex: 0, role: 'region', 'aria-label': 'Stages compared', hidden: true }, this.numbers);
    this.element = h('section.view.split', { 'aria-label': 'Turns' },
      h('div.side-list', {}, sourcePicker(session), this.list, this.compare), this.detail);
    this.#parts();
    session.addEventListener('source', () => this.#attach());
    this.#attach();
  }

  #parts() {
    this.heading = h('h2.big.two-lines');
    this.bars = h('div.waterfall.wide');
    this.holder = h('div.one-turn');
    this.server = h('dl.chips');
    this.facts = h('div.facts');
    this.none = empty('turns', 'No turns yet', 'Speak or type in Talk: each turn appears here with the time of each of its stages.');
    const wire = button('On the wire', () => this.#toWire(), { title: 'Its first message' }, 'wire');
    this.one = h('div.stack', {}, h('section.card', {}, h('div.line', {}, this.heading, h('span.end'), wire), this.bars, this.server), this.holder, this.facts);
  }

  #attach() {
    this.log?.listeners.delete(this.listener);
    this.log = this.session.source.turns;
    this.log.listeners.add(this.listener);
    this.picked = null;
    this.shownTurn = null;
    this.draw();
  }

  /** @param {import('./turnlog.js').Turn} turn */
  pick(turn) {
    this.picked = turn;
    history.replaceState(null, '', `#turns/${turn.key}`);
    this.draw();
  }

  /** A link to one turn: `#turns/3`. @param {string} key */
  openLink(key) {
    const turn = this.log?.list.find((each) => each.key === Number(key));
    if (turn) this.picked = turn;
    this.draw();
  }

  get turns() {
    return (this.log?.list ?? []).slice(-MOST_TURNS).reverse();
  }

  #toWire() {
    const turn = this.picked ?? this.turns[0];
    const { records } = this.session.source;
    const found = records.find(({ message }) => message && turn.id && message.turn_id === turn.id) ?? records.find(({ at, channel }) => channel === turn.channel && at >= turn.askedAt);
    if (found) location.hash = `#wire/${found.n}`;
  }

  #onKey(event) {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const { turns } = this;
    const at = turns.indexOf(this.picked ?? turns[0]);
    this.pick(turns[Math.max(0, Math.min(turns.length - 1, at + way))]);
  }

  #draw() {
    if (!this.element.isConnected) return;
    const { turns } = this;
    const longest = Math.max(500, ...turns.map((turn) => waited(turn) ?? 0));
    fill(this.list, turns.map((turn) => this.#row(turn, longest)));
    this.#compare(turns);
    if (turns.length === 0) {
      fill(this.detail, this.none);
      return;
    }
    const turn = this.picked ?? turns[0];
    if (this.one.parentElement !== this.detail) fill(this.detail, this.one);
    this.#one(turn);
  }

  #row(turn, longest) {
    const total = waited(turn);
    const chosen = turn === (this.picked ?? this.turns[0]);
    const zero = turn.askedAt;
    const pieces = spans(turn, zero).filter((span) => !['speech', 'speaking', 'paused'].includes(span.key) && !span.running && span.end > zero);
    const bars = pieces.map((span) => h('i.bar', { 'data-tone': span.tone, style: { left: `${((span.start - zero) / longest) * 100}%`, width: `${((span.end - span.start) / longest) * 100}%` } }));
    const words = turn.text || '…';
    return h('div.turn-row', { role: 'option', 'aria-selected': String(chosen), onclick: () => this.pick(turn) },
      h('span.clip', {}, words), h('span.soft.num', {}, total === null ? turn.status || '…' : ms(total)), h('div.mini', { 'aria-hidden': 'true' }, bars));
  }

  #one(turn) {
    text(this.heading, turn.text || '…');
    drawWaterfall(this.bars, turn, this.session.source === this.session.trace ? this.session.trace.now : turn.marks.done ?? 0);
    const stages = Object.entries(turn.latency ?? {});
    fill(this.server, stages.length > 0 ? h('dt', {}, 'The gateway’s own measure') : null, stages.map(([name, value]) => h('dd', {}, `${name} `, h('b', {}, ms(value)))));
    if (this.shownTurn?.[0] === turn.key && this.shownTurn[1] === turn.version) return;
    this.shownTurn = [turn.key, turn.version];
    this.#card(turn);
    this.#facts(turn);
  }

  /** The entry of the conversation: results, screenshots, output as it streams. */
  #card(turn) {
    if (this.cardKey !== turn.key) {
      this.cardKey = turn.key;
      this.card?.leave();
      const log = { list: [turn], listeners: new Set() };
      this.card = new Conversation(/** @type {any} */ (log), (id, approve, actionHash) => this.session.confirm(id, approve, actionHash));
      fill(this.holder, h('section.card', {}, this.card.list));
    }
    this.card?.listener(turn);
  }

  #facts(turn) {
    const open = new Set([...this.facts.querySelectorAll('details[open]')].map((each) => each.dataset.name));
    const fact = (name, value) => value && h('details.card', { 'data-name': name, open: open.has(name) }, h('summary', {}, h('h2', {}, name)), h('pre.output', { tabIndex: 0 }, pretty(value)));
    fill(this.facts, fact('Intent', turn.intent), fact('Plan', turn.plan), fact('Safety', turn.safety));
  }

  #compare(turns) {
    this.compare.hidden = turns.length === 0;
    const each = turns.map((turn) => durations(turn));
    const waits = turns.map((turn) => waited(turn)).filter((value) => value !== null);
    const rows = STAGES.map((key) => ({ name: label(key), values: each.map((found) => found.get(key)).filter((value) => value !== undefined) }));
    rows.push({ name: 'To the answer', values: waits });
    const cells = (values) => [ms(percentile(values, 0.5)), ms(percentile(values, 0.95))].map((value) => h('td', {}, value));
    fill(this.numbers, h('thead', {}, h('tr', {}, [`Last ${turns.length}`, 'p50', 'p95'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, rows.filter(({ values }) => values.length > 0).map(({ name, values }) => h('tr', {}, h('th', { scope: 'row' }, name), cells(values)))));
  }

  show() {
    this.draw();
    this.timer = setInterval(() => { if (this.session.trace.turns.list.some((turn) => !turn.isOver)) this.draw(); }, 250);
  }

  hide() {
    clearInterval(this.timer);
  }
}
