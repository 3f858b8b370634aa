// A turn as bars on one axis of time.

import { fill, h } from './dom.js';
import { ms } from './format.js';
import { spans, waited } from './stages.js';

/** Round steps of an axis. */
const STEPS = [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000];
const MOST_TICKS = { wide: 4, narrow: 2.5 };

/** @param {number} from @param {number} length milliseconds @param {number} most */
export function ticks(from, length, most) {
  const fits = STEPS.findIndex((each) => length / each <= most);
  const at = (step) => Array.from({ length: Math.floor((from + length) / step) - Math.ceil(from / step) + 1 }, (_, index) => (Math.ceil(from / step) + index) * step);
  if (fits < 0) return at(120_000);
  const found = at(STEPS[fits]);
  return found.length > 1 || fits === 0 ? found : at(STEPS[fits - 1]); // one mark alone tells no scale
}

const percent = (share) => `${(Math.max(0, Math.min(1, share)) * 100).toFixed(3)}%`;

/**
 * Zero is the end of speech (or the sending of the text). Speech on both sides is cut off: what matters is the way from the one to the other.
 * @param {HTMLElement} element @param {import('./turnlog.js').Turn} turn @param {number} now
 */
export function drawWaterfall(element, turn, now) {
  const all = spans(turn, now);
  if (all.length === 0) {
    fill(element, h('p.soft', {}, 'Nothing to show yet.'));
    return;
  }
  const zero = turn.askedAt;
  const { from, to } = extent(all);
  const at = (time) => (time - from) / (to - from);
  const focused = [...element.children].indexOf(/** @type {any} */ (document.activeElement));
  fill(element, axis(from - zero, to - from, element.classList.contains('wide') ? MOST_TICKS.wide : MOST_TICKS.narrow), all.map((span) => row(span, at, zero)), foot(turn));
  if (focused >= 0) /** @type {any} */ (element.children[focused])?.focus(); // drawn anew while somebody reads it
}

const SHORTEST_MS = 50;
const MARGIN = 0.14; // of the axis, for speech that is cut off
const isSpeech = ({ key }) => key === 'speech' || key === 'speaking';

/** @param {import('./stages.js').Span[]} all */
function extent(all) {
  const way = all.filter((span) => !isSpeech(span));
  const shown = way.length > 0 ? way : all;
  const first = Math.min(...shown.map((span) => span.start));
  const last = Math.max(...shown.map((span) => span.end), first + SHORTEST_MS);
  const margin = way.length > 0 ? MARGIN * (last - first) : 0;
  const beside = (key) => (all.some((span) => span.key === key) ? margin : 0);
  return { from: first - beside('speech'), to: last + beside('speaking') };
}

function axis(from, length, most) {
  const marks = ticks(from, length, most).map((tick) => h('span', { style: { left: percent((tick - from) / length) }, 'data-zero': tick === 0 }, tick === 0 ? '0' : ms(tick).replace('.00', '')));
  return h('div.row.axis', { 'aria-hidden': 'true' }, h('span.name'), h('div.lane', {}, marks), h('span.took'));
}

function row({ label, tone, start, end, running = false, ticks: progress = [], note = '' }, at, zero) {
  const words = `${label}: ${ms(end - start)}, from ${ms(start - zero)} to ${ms(end - zero)}${note ? `, ${note}` : ''}`;
  const bar = h('div.bar', { 'data-tone': tone, 'data-running': running, style: { left: percent(at(start)), right: percent(1 - at(end)) } });
  bar.dataset.cut = `${at(start) < 0 ? 'start ' : ''}${at(end) > 1 ? 'end' : ''}`;
  const dots = progress.map((time) => h('i.tick', { style: { left: percent(at(time)) } }));
  return h('div.row', { title: words, tabIndex: 0, role: 'img', 'aria-label': words },
    h('span.name', {}, label), h('div.lane', {}, h('i.zero', { style: { left: percent(at(zero)) } }), bar, dots), h('span.took', {}, ms(end - start)));
}

function foot(turn) {
  const total = waited(turn);
  if (total === null) return null;
  const what = turn.marks.first_sound === undefined ? 'to the answer’s words' : 'to the first sound';
  return h('p.sum', {}, h('strong', {}, ms(total)), ` ${turn.source === 'speech' ? 'from the end of speech' : 'from sending'} ${what}`);
}
