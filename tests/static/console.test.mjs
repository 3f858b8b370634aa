// The console's pure parts: what messages mean, metrics, recordings, schemas.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeFrame } from '../../static/jarvis/codec.js';
import { compiled } from '../../static/console/filter.js';
import { alike, clockMs, fromBase64, hexdump, ms, percentile, quoted, toBase64 } from '../../static/console/format.js';
import { arrival } from '../../static/console/network.js';
import { histograms, parse, sum } from '../../static/console/prometheus.js';
import { observe } from '../../static/console/observe.js';
import { load, mix, save, toWav } from '../../static/console/recording.js';
import { asJavaScript, asPython } from '../../static/console/snippets.js';
import { example, resolve } from '../../static/console/schema.js';
import { bands, powers } from '../../static/console/wave.js';
import { durations, label, spans, waited } from '../../static/console/stages.js';
import { Keeper, reopened } from '../../static/console/store.js';
import { stretch } from '../../static/console/timeline.js';
import { Trace } from '../../static/console/trace.js';
import { ticks } from '../../static/console/waterfall.js';
import { Voice } from '../../static/console/voice.js';

/** A trace of `[at, direction, message]`. */
function traceOf(...lines) {
  const trace = new Trace('test', 'recording');
  for (const [at, direction, message] of lines) trace.add(message instanceof Uint8Array ? { direction, bytes: message } : { direction, message }, at);
  return trace;
}

const on = (type, fields = {}) => ({ type, channel: 1, ...fields });
const tone = (samples) => new Uint8Array(new Int16Array(samples).fill(8000).buffer);

const SPOKEN = [
  [0, 'out', on('channel.open', { kind: 'turn', params: { sample_rate: 16_000 } })],
  [120, 'out', encodeFrame({ channel: 1, ptsMs: 0, payload: tone(320) })],
  [640, 'in', on('stt.speech_started', { at_ms: 500 })],
  [900, 'in', on('stt.partial', { text: 'what ti', stable_chars: 5 })],
  [2100, 'in', on('stt.speech_stopped', { at_ms: 1500 })],
  [2200, 'in', on('stt.final', { text: 'what time is it', confidence: 0.9, start_ms: 500, end_ms: 1500, words: [] })],
  [2210, 'in', on('turn.intent', { turn_id: 'a', intent: 'get_time', confidence: 0.9, entities: {}, alternatives: [] })],
  [2220, 'in', on('turn.plan', { turn_id: 'a', plan_id: 'p', goal: 'g', steps: [{ id: 's1', executor: 'os', action: 'date', parameters: {}, depends_on: [], description: 'd' }] })],
  [2230, 'in', on('turn.safety', { turn_id: 'a', verdict: 'allow', risk: 'low', reasons: [], actions: [] })],
  [2240, 'in', on('task.started', { turn_id: 'a', step_id: 's1', task_id: 't' })],
  [2260, 'in', on('task.progress', { turn_id: 'a', step_id: 's1', message: '', stream: 'stdout', data: 'noon\n' })],
  [2300, 'in', on('task.result', { turn_id: 'a', step_id: 's1', status: 'ok', result: {} })],
  [2310, 'in', on('turn.reply', { turn_id: 'a', text: 'It is noon.' })],
  [2320, 'in', on('tts.started', { turn_id: 'a', encoding: 'pcm_s16le', sample_rate: 16_000, generation: 0 })],
  [2330, 'in', on('tts.words', { turn_id: 'a', words: [{ text: 'It', start_ms: 0, end_ms: 100 }, { text: 'is', start_ms: 100, end_ms: 200 }, { text: 'noon.', start_ms: 200, end_ms: 600 }] })],
  [2340, 'in', encodeFrame({ channel: 1, ptsMs: 0, seq: 9, payload: tone(3200) })],
  [2400, 'local', on('playout.sounding')],
  [2550, 'out', on('playback', { played_ms: 150, generation: 0 })],
];

test('a message leads to its turn: by its id, else by its channel and time', () => {
  const trace = traceOf(...SPOKEN, [3000, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })], [4000, 'in', on('stt.speech_started', { at_ms: 3880 })], [4500, 'in', on('turn.latency', { turn_id: 'a', stages: {} })], [4600, 'in', { type: 'pong', t: 1 }]);
  const [first, second] = trace.turns.list;
  const of = (type) => trace.turns.of(trace.records.findLast((record) => record.type === type));
  for (const type of ['stt.partial', 'stt.final', 'turn.intent', 'playout.sounding', 'playback', 'turn.latency']) assert.equal(of(type), first, type);
  assert.equal(of('stt.speech_started'), second);
  for (const type of ['channel.open', 'pong']) assert.equal(of(type), undefined, type);
});

test('what is typed offline waits, visibly, and is one turn when it is sent, and when it is sent again', () => {
  const open = (seq) => ['out', on('channel.open', { kind: 'turn', seq, params: { text: 'what time is it' } })];
  const trace = traceOf([10, 'local', on('typed.waiting', { text: 'what time is it' })]);
  const [waiting] = trace.turns.list;
  assert.deepEqual([waiting.text, waiting.waits, waiting.isOver], ['what time is it', true, false]);
  for (const at of [500, 900]) trace.add({ direction: open(4)[0], message: open(4)[1] }, at);
  assert.deepEqual(trace.turns.list, [waiting]);
  assert.deepEqual([waiting.waits, waiting.askedAt], [false, 500]);
  trace.add({ direction: 'local', message: { type: 'typed.waiting', channel: 3, text: 'another' } }, 950);
  trace.add({ direction: 'in', message: { type: 'session.ready' } }, 1000);
  assert.deepEqual(trace.turns.list.map(({ text, status }) => [text, status]), [['what time is it', 'lost']], 'the other is said again in the new session');
});

test('the filter has words, keys, regular expressions, and not', () => {
  const record = (type, channel, message = {}) => ({ type, channel, direction: 'in', message: { type, channel, ...message }, frame: null });
  const turn = record('turn.reply', 3, { text: 'It is noon' });
  for (const words of ['', 'NOON', 'way:in', '-way:out', 'type:turn', 'type:turn.reply channel:3', '/is n../', '-type:tts -midnight', 'is noon -/noon it/']) assert.equal(compiled(words)(turn), true, words);
  for (const words of ['midnight', 'type:tts', 'channel:1', '-noon', '-type:turn', '/^noon/', 'noon -channel:3']) assert.equal(compiled(words)(turn), false, words);
  assert.equal(compiled('type:audio channel:1')({ type: 'audio', channel: 1, message: null, frame: {} }), true);
  assert.deepEqual(compiled('type:Turn -type:tts noon').types, ['turn'], 'what is asked for by name');
  assert.throws(() => compiled('/(/'), SyntaxError);
  for (const words of ['/(a+)+$/', '/(a|aa)+b/', '/([a-z]*)*1/', '/(a{1,9}){2,}/', '/((a+))+/']) assert.throws(() => compiled(words), /for ever/, words);
  for (const words of ['/(is|was) n/', '/(n)?oo+n/', '/i.*n.*n/']) assert.equal(compiled(words)(turn), true, words);
});

test('words are compared without capitals and punctuation', () => {
  assert.ok(alike('What time is it?', 'what time is it'));
  assert.ok(alike('', ''));
  for (const other of ['what time was it', 'what time', undefined]) assert.equal(alike('What time is it?', other), false, other);
  assert.equal(alike('it is 3.5', 'it is 35'), false);
});

test('a message is copied as code that does the same', () => {
  const call = { type: 'call', id: 'c', op: 'memory.store', params: { key: 'a', value: { b: [true, null] } }, seq: 4 };
  assert.equal(asPython(call), 'answer = await client.call("memory.store", key="a", value={"b": [True, None]})');
  assert.equal(asPython({ type: 'channel.open', channel: 1, kind: 'turn', params: { text: 'hi' } }).split('\n')[0], 'channel = client.open(TurnParams(text="hi"))');
  assert.equal(asPython({ type: 'tts.text', channel: 1, text: 'a' }), 'channel.send_text("a")');
  assert.equal(asPython({ type: 'channel.end', channel: 1 }), 'channel.end()');
  assert.equal(asPython({ type: 'ack', seq: 1 }), '# sent by the client itself');
  assert.match(asJavaScript(call), /^const answer = await client.call\("memory.store", \{/);
  assert.equal(asJavaScript({ type: 'commit', channel: 1, seq: 9 }), 'client.send({\n  "type": "commit",\n  "channel": 1\n});');
  assert.equal(clockMs(61_234.9), '1:01.234');
});

test('a comparison names a stage as the waterfall does', () => {
  const asked = on('task.confirmation_required', { turn_id: 'a', confirmation_id: 'c', reason: 'r', risk: 'high', executor: 'os', action: 'rm', parameters: {}, expires_at: '2030-01-01T00:00:00Z' });
  const [turn] = traceOf(...SPOKEN, [2500, 'in', asked]).turns.list;
  const found = spans(turn, 3000);
  assert.ok(found.some(({ key }) => key === 'asked'));
  for (const span of found) assert.equal(span.key === 'step' ? span.label : label(span.key), span.label);
});

test('a question names what is approved', () => {
  const asked = on('task.confirmation_required', { turn_id: 'a', confirmation_id: 'c', reason: 'r', sentence: 'Shall I?', risk: 'high', executor: 'os', action: 'rm', parameters: { path: 'x' }, expires_at: '2030-01-01T00:00:00Z' });
  const [turn] = traceOf([0, 'in', asked]).turns.list;
  const { question } = turn.step('');
  assert.deepEqual([question.reason, question.action, question.parameters, question.risk], ['Shall I?', 'os.rm', { path: 'x' }, 'high']);
});

test('a spoken turn is put together from its messages', () => {
  const [turn, ...others] = traceOf(...SPOKEN).turns.list;
  assert.deepEqual(others, []);
  assert.equal(turn.text, 'what time is it');
  assert.equal(turn.reply.slice(0, turn.spoken), 'It is');
  assert.equal(turn.steps.get('s1').output, 'noon\n');
  assert.equal(turn.askedAt, 1620, 'the end of speech, by the clock of the page');
  assert.equal(waited(turn), 2400 - 1620);
});

test('after a reload a reply is read: no more of it counts as heard', () => {
  const after = [[2600, 'local', on('playout.written')], [2700, 'out', on('playback', { played_ms: 600, generation: 0 })], [2710, 'in', encodeFrame({ channel: 1, ptsMs: 200, seq: 10, payload: tone(16_000) })]];
  const next = [on('turn.intent', { turn_id: 'b', intent: 'i' }), on('turn.reply', { turn_id: 'b', text: 'Later.' }), on('tts.started', { turn_id: 'b', encoding: 'pcm_s16le', sample_rate: 16_000, generation: 1 }), encodeFrame({ channel: 1, generation: 1, seq: 11, payload: tone(16_000) })];
  const trace = traceOf(...SPOKEN, ...after, [3000, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })], ...next.map((message) => [4000, 'in', message]), [4100, 'out', on('playback', { played_ms: 900, generation: 1 })]);
  assert.deepEqual(trace.turns.list.map(({ reply, spoken }) => reply.slice(0, spoken)), ['It is', '']);
  assert.equal(spans(trace.turns.list[0], 9000).find(({ key }) => key === 'speaking').end, 2600);
  const { agent } = mix(trace);
  assert.ok(agent.slice(2400 * 16, 2590 * 16).every((sample) => sample > 0), 'what was heard is in the recording');
  assert.ok(agent.slice(2610 * 16).every((sample) => sample === 0), 'and nothing else');
});

test('its stages follow each other on one axis', () => {
  const [turn] = traceOf(...SPOKEN).turns.list;
  const shown = spans(turn, 2600).map(({ label, start, end }) => [label, start, end]);
  assert.deepEqual(shown, [
    ['Speech', 620, 1620], ['End of turn', 1620, 2100], ['Transcript', 2100, 2200], ['Intent', 2200, 2210], ['Plan', 2210, 2220], ['Safety', 2220, 2230],
    ['os.date', 2240, 2300], ['Reply words', 2300, 2310], ['First byte', 2310, 2340], ['First sound', 2340, 2400], ['Speaking', 2400, 2600],
  ]);
  assert.equal(durations(turn).get('endpoint'), 480);
});

test('an interruption cuts the answer at the word that was heard', () => {
  const trace = traceOf(...SPOKEN, [2600, 'in', on('turn.interrupted', { turn_id: 'a', generation: 1, heard_ms: 90, heard_text: 'It' })], [2610, 'in', on('turn.done', { turn_id: 'a', status: 'interrupted' })]);
  const [turn] = trace.turns.list;
  assert.equal(turn.reply.slice(0, turn.spoken), 'It');
  assert.equal(spans(turn, 9999).at(-1).end, 2600);
});

test('a sound pauses the answer; without words it goes on, with words it is over', () => {
  const paused = (at, generation) => [at, 'in', on('turn.paused', { turn_id: 'a', generation, heard_ms: 150 })];
  const trace = traceOf(...SPOKEN, paused(2600, 1), [2601, 'local', on('playout.silent')]);
  const [turn] = trace.turns.list;
  assert.ok(turn.isPaused);
  assert.ok(spans(turn, 2700).at(-1).running);
  trace.add({ direction: 'in', message: on('turn.continued', { turn_id: 'a', generation: 1, from_ms: 150 }) }, 3000);
  assert.ok(!turn.isPaused);
  assert.deepEqual([turn.heardText, turn.reply.slice(0, turn.spoken)], [null, 'It is']);
  for (const [at, direction, message] of [paused(3400, 2), [3900, 'in', on('turn.interrupted', { turn_id: 'a', generation: 2, heard_ms: 90, heard_text: 'It is' })]]) trace.add({ direction, message }, at);
  const pauses = spans(turn, 9999).filter(({ key }) => key === 'paused');
  assert.deepEqual(pauses.map(({ start, end, note }) => [start, end, note.split(':')[0]]), [[2600, 3000, 'no words followed'], [3400, 3900, 'words followed']]);
  assert.equal(turn.heardText, 'It is');
});

test('the end of a turn: probable, taken back, certain', () => {
  const until = (...more) => traceOf(...SPOKEN.slice(0, 4), ...more).turns.list[0];
  const eager = [1700, 'in', on('turn.eager_end', { at_ms: 1500, text: 'what time' })];
  assert.equal(until(eager).marks.eager_end, 1700);
  assert.equal(until(eager, [1800, 'in', on('turn.resumed', { at_ms: 1600 })]).marks.eager_end, undefined);
  const turn = until([1900, 'in', on('turn.eager_end', { at_ms: 1500, text: 'what time' })], [2100, 'in', on('stt.speech_stopped', { at_ms: 1500 })], [2130, 'in', on('turn.end', { at_ms: 1500 })]);
  const end = spans(turn, 9999).find(({ key }) => key === 'endpoint');
  assert.deepEqual([end.start, end.end, end.ticks, end.note], [1620, 2100, [1900], 'probably over after 280 ms, certainly after 510 ms']);
});

test('what was decided is kept with the moment it is about, and the moment it was told', () => {
  const told = [[1900, 'in', on('turn.eager_end', { at_ms: 1500, text: 'what time' })], [2000, 'in', on('turn.resumed', { at_ms: 1600 })], [2100, 'in', on('stt.speech_stopped', { at_ms: 1900 })],
    [2200, 'in', on('stt.final', { text: 'what time is it', confidence: 1, start_ms: 500, end_ms: 1900, words: [] })], [2210, 'in', on('turn.end', { at_ms: 1900 })]];
  const [turn] = traceOf(...SPOKEN.slice(0, 4), ...told).turns.list;
  assert.deepEqual(turn.decisions.map(({ type, about, at }) => [type.split('.')[1], about, at]), [
    ['speech_started', 620, 640], ['partial', 900, 900], ['eager_end', 1620, 1900], ['resumed', 1720, 2000], ['speech_stopped', 2020, 2100], ['final', 2020, 2200], ['end', 2020, 2210],
  ]);
  const coughed = traceOf(...SPOKEN.slice(0, 6), [3000, 'in', on('stt.speech_started', { at_ms: 2800 })], [3100, 'in', on('stt.final', { text: '', confidence: 1, start_ms: 0, end_ms: 1, words: [] })]);
  assert.equal(coughed.turns.list[0].decisions.length, 4, 'those of a cough are not of the turn before');
});

test('the time that a person takes to say yes is not the agent’s', () => {
  const asked = (at, step) => [at, 'in', on('task.confirmation_required', { turn_id: 'a', step_id: step, confirmation_id: 'c', reason: 'r', risk: 'low', expires_at: '' })];
  const trace = traceOf([0, 'out', on('channel.open', { kind: 'turn', params: { text: 'forget my name', reply: 'text' } })], asked(100, 's1'), [5100, 'in', on('task.started', { turn_id: 'a', step_id: 's1', task_id: 't' })],
    [5150, 'in', on('turn.reply', { turn_id: 'a', text: 'Done.' })], [5160, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })]);
  assert.equal(waited(trace.turns.list[0]), 150);
  assert.deepEqual(stretch(trace.turns.list[0], 9999), [0, 5160]);
  const spoken = traceOf(...SPOKEN, asked(2700, 's2'));
  assert.equal(waited(spoken.turns.list[0]), 2400 - 1620, 'asked after the first sound');
  const heard = traceOf(...SPOKEN.filter(([at]) => at < 2240), asked(2235, 's2'), ...SPOKEN.filter(([at]) => at > 2300));
  assert.equal(waited(heard.turns.list[0]), 2400 - 1620, 'the first sound is the question');
});

test('the first byte of a question is not measured from the reply that follows', () => {
  const asked = [2235, 'in', on('task.confirmation_required', { turn_id: 'a', step_id: 's1', confirmation_id: 'c', reason: 'r', risk: 'low', expires_at: '' })];
  const before = SPOKEN.filter(([at]) => at < 2240);
  const [turn] = traceOf(...before, asked, [2250, 'in', on('tts.started', { turn_id: 'a', encoding: 'pcm_s16le', sample_rate: 16_000, generation: 0 })],
    [2270, 'in', encodeFrame({ channel: 1, seq: 10, payload: tone(320) })], ...SPOKEN.filter(([at]) => at > 2270)).turns.list;
  const byte = spans(turn, 9999).find(({ key }) => key === 'first_byte');
  assert.deepEqual([byte.start, byte.end], [2230, 2270]);
});

test('a step that a turn did not reach is skipped when the turn is over', () => {
  const steps = ['s1', 's2'].map((id) => ({ id, executor: 'browser', action: id, parameters: {}, depends_on: [], description: 'd' }));
  const [turn] = traceOf(...SPOKEN.slice(0, 7), [2220, 'in', on('turn.plan', { turn_id: 'a', plan_id: 'p', goal: 'g', steps })],
    [2300, 'in', on('task.result', { turn_id: 'a', step_id: 's1', status: 'failed', message: 'no host' })], [2400, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })]).turns.list;
  assert.deepEqual([...turn.steps.values()].map(({ status }) => status), ['failed', 'skipped']);
});

test('a turn that failed before anything was heard has no time to an answer', () => {
  const id = { turn_id: 'a' };
  const trace = traceOf([100, 'out', on('channel.open', { kind: 'turn', params: { language: 'de' } })], [13_000, 'in', on('error', { ...id, code: 'INVALID_ARGUMENT', message: 'stt: only English' })],
    [13_000, 'in', on('turn.reply', { ...id, text: 'Sorry.' })], [13_010, 'in', on('tts.started', { ...id, encoding: 'pcm_s16le', sample_rate: 16_000, generation: 0 })], [13_020, 'in', encodeFrame({ channel: 1, seq: 9, payload: tone(320) })],
    [13_040, 'local', on('playout.sounding')], [13_900, 'in', on('turn.done', { ...id, status: 'failed' })]);
  const [turn] = trace.turns.list;
  assert.equal(waited(turn), null);
  assert.deepEqual([...durations(turn)], [['first_byte', 20], ['first_sound', 20]], 'and no stage from the beginning of the session');
});

test('a clock that was set back makes no time before the session', () => {
  const trace = reopened({ startedAt: Date.now() + 3_600_000, now: 60_000 });
  assert.ok(trace.now >= 60_000, String(trace.now));
});

test('what comes while the past is read follows it: each row once, in order, numbered on, and kept', async (t) => {
  const line = (n, text) => ({ n, at: n, direction: 'in', message: on('stt.partial', { text }) });
  const tail = [line(0, 'what'), null, {}, line(1, 'what time'), line(1, 'what time'), { n: 2, at: 2, direction: 'in', bytes: 'x' }];
  const trace = reopened({ startedAt: Date.now() - 1000, now: 1000, cleared: 1 });
  const keeper = new Keeper(trace, 's', () => '', { tail, next: 3 });
  t.after(() => keeper.leave());
  const told = keeper.restore(); // there is no IndexedDB here: only the tail is told
  trace.note({ type: 'socket.handshake' });
  trace.add({ direction: 'in', message: on('stt.final', { text: 'what time is it' }) });
  assert.equal(trace.records.length, 0);
  assert.deepEqual(keeper.untold.slice(-2).map(({ n, message }) => [n, message.type]), [[3, 'socket.handshake'], [4, 'stt.final']], 'another reload keeps them');
  await told;
  trace.join();
  assert.deepEqual(trace.records.map(({ n, type, message }) => [n, type, message.text]), [
    [0, 'stt.partial', 'what'], [1, 'stt.partial', 'what time'], [2, 'socket.handshake', undefined], [3, 'stt.final', 'what time is it'],
  ]);
  assert.deepEqual(trace.turns.list.map(({ text, isFinal }) => [text, isFinal]), [['what time is it', true]]);
  assert.deepEqual(keeper.untold.slice(-2).map(({ n, message }) => [n, message.type]), [[3, 'socket.handshake'], [4, 'stt.final']]);
  assert.equal(trace.cleared, 1);
  trace.note({ type: 'pong' });
  assert.deepEqual([trace.end, keeper.untold.at(-1).n], [5, 5]);
});

test('a bad network keeps the order, and holds up what follows a lost message', () => {
  const how = { delay: 100, jitter: 50, loss: 10 };
  assert.equal(arrival(1000, 0, { delay: 0, jitter: 0, loss: 0 }, () => 0), 1000);
  assert.equal(arrival(1000, 0, how, () => 0.5), 1125);
  assert.equal(arrival(1000, 0, how, () => 0.05), 1000 + 102.5 + 400, 'lost: sent again');
  assert.equal(arrival(1010, 1502.5, how, () => 0.5), 1502.5, 'it waits for the one before');
});

test('a tone is found in its band', () => {
  const tones = [300, 1_000, 4_000];
  const middles = bands(16_000);
  for (const hz of tones) {
    const samples = Float32Array.from({ length: 8_000 }, (_, at) => Math.sin((2 * Math.PI * hz * at) / 16_000));
    const found = [...powers(samples, 16_000, 1)];
    const loudest = middles[found.indexOf(Math.max(...found))];
    const nearest = middles.reduce((best, each) => (Math.abs(each - hz) < Math.abs(best - hz) ? each : best));
    assert.equal(loudest, nearest);
  }
});

test('frames that waited for credit are heard where they were said', () => {
  const frame = (at, ptsMs) => [at, 'out', encodeFrame({ channel: 1, ptsMs, payload: tone(320) })];
  const { you } = mix(traceOf(SPOKEN[0], frame(500, 0), frame(500, 20), frame(160, 40), frame(3000, 60), frame(3020, 80)));
  const sounds = [...you].flatMap((sample, at) => ((sample !== 0) !== ((you[at - 1] ?? 0) !== 0) ? [at / 16] : []));
  assert.deepEqual(sounds, [100, 160, 2980, 3020], 'the last two: after a pause in push-to-talk');
});

test('a stretch of a session sounds alone, at the rate asked for', () => {
  const { you, agent } = mix(traceOf(...SPOKEN), 110, 2500, 8_000);
  assert.equal(you.length, 2390 * 8);
  assert.deepEqual([you[0] > 0, you[79] > 0, you[80]], [true, true, 0], '10 of its 20 ms');
  assert.equal(agent.findIndex((sample) => sample !== 0) / 8, 2400 - 110);
});

test('a cough is no turn, and a yes is none either', () => {
  const final = (text) => on('stt.final', { text, confidence: 1, start_ms: 0, end_ms: 1, words: [] });
  const trace = traceOf(
    [0, 'in', on('stt.speech_started', { at_ms: 0 })], [1, 'in', final('')],
    [2, 'in', final('forget my name')], [3, 'in', on('turn.intent', { turn_id: 'a', intent: 'forget', confidence: 1, entities: {}, alternatives: [] })],
    [4, 'in', on('task.confirmation_required', { turn_id: 'a', step_id: 's', confidence: 1, confirmation_id: 'c', reason: 'r', risk: 'low', expires_at: '' })],
    [5, 'in', final('yes please')], [6, 'in', on('task.started', { turn_id: 'a', step_id: 's', task_id: 't' })], [7, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })],
    [8, 'in', final('what time is it')], [9, 'in', on('turn.reply', { turn_id: 'b', text: 'noon' })],
  );
  assert.deepEqual(trace.turns.list.map(({ text, status, reply }) => [text, status, reply]), [['forget my name', 'ok', ''], ['yes please', 'answer', ''], ['what time is it', '', 'noon']]);
  assert.equal(trace.turns.list[0].steps.get('s').question.open, false);
});

test('a question that a click cut short is no interrupted answer', () => {
  const started = (generation) => on('tts.started', { turn_id: 'a', sample_rate: 16_000, generation });
  const [turn] = traceOf([0, 'out', on('channel.open', { kind: 'turn', params: { text: 'forget my name' } })], [1, 'in', on('turn.intent', { turn_id: 'a' })],
    [2, 'in', started(0)], [3, 'in', on('turn.interrupted', { turn_id: 'a', generation: 1, heard_ms: 9, heard_text: 'Shall' })], [4, 'in', on('turn.reply', { turn_id: 'a', text: 'I will not.' })],
    [5, 'in', started(1)], [9, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })]).turns.list;
  assert.deepEqual([turn.heardText, turn.marks.interrupted, turn.status], [null, undefined, 'ok']);
});

test('a broken service is told once, with what to do', () => {
  const broken = { code: 'UNAVAILABLE', message: 'stt: down' };
  const [turn] = traceOf(...SPOKEN.slice(0, 4), [950, 'in', on('error', { ...broken, retryable: true })], [960, 'in', on('channel.closed', { status: 'error', ...broken })]).turns.list;
  assert.equal(turn.errors.length, 1);
  assert.match(turn.errors[0].hint, /System/);
  assert.equal(turn.status, 'failed');
});

test('a long session forgets its oldest messages, not its count', () => {
  const trace = new Trace('long', 'live');
  for (let n = 0; n < 61_000; n += 1) trace.add({ direction: 'in', message: { type: 'pong', t: n } }, n);
  assert.equal(trace.forgotten + trace.records.length, 61_000);
  assert.ok(trace.records.length <= 60_000);
  assert.equal(trace.records[0].n, trace.forgotten);
});

test('a recording comes back as it was, without what lets people in', async () => {
  const trace = traceOf([0, 'in', { type: 'session.ready', resume_token: 'secret', session_id: 's' }], ...SPOKEN, [2700, 'out', { type: 'auth.refresh', token: 'secret' }],
    [2800, 'out', { type: 'call', params: { list: [{ refresh_token: 'secret', password: 'secret' }] } }]);
  const words = await save(trace, { session_id: 's' }).text();
  assert.doesNotMatch(words, /secret/);
  const again = load(words, 'file');
  assert.deepEqual(again.about, { session_id: 's' });
  assert.deepEqual(again.records.map(({ at, type, direction }) => [at, type, direction]), trace.records.map(({ at, type, direction }) => [at, type, direction]));
  assert.deepEqual(again.records[2].bytes, trace.records[2].bytes);
});

for (const [what, words] of [['nothing', ''], ['a page', '<!doctype html>'], ['another document', '{"a": 1}'], ['a later version', '{"type":"jarvis.recording","version":9}'],
  ['a damaged line', '{"type":"jarvis.recording","version":1}\n{"at_ms":'], ['no time', '{"type":"jarvis.recording","version":1}\n{"direction":"in","message":{"type":"x"}}'],
  ['a time of no session', '{"type":"jarvis.recording","version":1}\n{"at_ms":1e300,"direction":"in","message":{"type":"x"}}']]) {
  test(`${what} is no recording, and it is said why`, () => assert.throws(() => load(words, 'file'), /recording|Line|version/));
}

test('a line whose fields cannot be drawn is told when the file is opened', () => {
  const head = '{"type":"jarvis.recording","version":1}\n';
  const line = (type, fields) => JSON.stringify({ at_ms: 1, direction: 'in', message: on(type, { turn_id: 't', ...fields }) });
  for (const [type, fields] of [['turn.reply', { text: 5 }], ['turn.reply', { text: null }], ['stt.partial', { text: {} }], ['turn.intent', { entities: null }], ['turn.safety', { reasons: 'abc' }], ['tts.words', { words: 5 }]]) {
    assert.throws(() => load(`${head}${line('turn.reply', { text: 'fine' })}\n${line(type, fields)}`, 'file'), /Line 3 is damaged/, type);
  }
});

test('whatever was sent by hand, and however long ago, the session can be opened again', async () => {
  const opened = (rate) => ({ type: 'channel.open', channel: 1, kind: 'stt', params: { sample_rate: rate } });
  const sent = [{}, { type: 5 }, { type: null }, { type: 'call', op: 5, params: 'x' }, opened(0), opened(1e9), opened('many'), { type: 'tts.started', channel: 1, encoding: 'pcm_s16le', sample_rate: 'many' }];
  const trace = traceOf(...sent.map((message, index) => [index * 7_200_000, 'out', message]), ...SPOKEN);
  const again = load(await save(trace, {}).text(), 'file');
  assert.deepEqual(again.records.map(({ at, type }) => [at, type]), trace.records.map(({ at, type }) => [at, type]));
  assert.equal(mix(again, 0, 1_000).you.length, 16_000);
});

test('both sides are heard where they sounded', async () => {
  const sound = mix(traceOf(...SPOKEN, [2700, 'in', on('turn.done', { turn_id: 'a', status: 'ok' })]));
  const first = (track) => track.findIndex((sample) => sample !== 0) / 16;
  assert.equal(first(sound.you), 100);
  assert.equal(first(sound.agent), 2400);
  const wav = new DataView(await toWav(sound).arrayBuffer());
  assert.equal(wav.getUint32(24, true), 16_000);
  assert.equal(wav.getUint16(22, true), 2);
  assert.equal(wav.getUint16(34, true), 16);
  assert.equal(wav.getUint32(40, true), wav.byteLength - 44);
});

test('metrics are read, summed, and their quantiles found', () => {
  const metrics = parse([
    '# TYPE d histogram', 'd_bucket{method="a\\"b",le="0.1"} 50', 'd_bucket{method="a\\"b",le="0.2"} 100', 'd_bucket{method="a\\"b",le="+Inf"} 100', 'n{kind="x"} 2', 'n{kind="y"} 3.5', 'plain 1e3',
  ].join('\n'));
  const [{ labels, count, quantile }] = histograms(metrics, 'd', ['method']);
  assert.deepEqual([labels, count], [['a"b'], 100]);
  assert.ok(Math.abs(quantile(0.75) - 0.15) < 1e-9);
  assert.equal(sum(metrics, 'n'), 5.5);
  assert.equal(sum(metrics, 'plain'), 1000);
});

test('a schema is followed through references and optional values', () => {
  const document = { components: { schemas: { A: { type: 'string', examples: ['x'] } } } };
  assert.equal(resolve(document, { anyOf: [{ $ref: '#/components/schemas/A' }, { type: 'null' }] }).type, 'string');
  assert.equal(example(document, { $ref: '#/components/schemas/A' }), 'x');
  assert.deepEqual(resolve(document, { $ref: '#/components/schemas/B' }), {});
});

test('an axis has few marks, but more than one', () => {
  assert.deepEqual(ticks(-100, 900, 4), [0, 500]);
  assert.deepEqual(ticks(-700, 5_200, 2.5), [0, 2_000, 4_000]);
  assert.deepEqual(ticks(0, 12, 2.5), [0, 10]);
});

test('numbers and bytes are written for people', () => {
  assert.deepEqual([ms(3.14), ms(-0.01), ms(-3.14), ms(640.4), ms(1234), ms(12_345), ms(61_000), ms(null)], ['3.1 ms', '0 ms', '-3.1 ms', '640 ms', '1.23 s', '12.3 s', '1 min 1 s', '–']);
  assert.equal(percentile([5, 1, 4, 2, 3], 0.5), 3);
  assert.equal(percentile([], 0.5), null);
  assert.equal(quoted("it's"), "'it'\\''s'");
  assert.deepEqual(fromBase64(toBase64(new Uint8Array([0, 255, 128]))), new Uint8Array([0, 255, 128]));
  assert.match(hexdump(new Uint8Array([72, 105])), /^0000 {2}48 69 .*Hi$/);
});

test('an observed session becomes a trace of its own', () => {
  const channel = Object.assign(new EventTarget(), { played: (bytes) => { played += bytes; } });
  let played = 0;
  const ends = [];
  const trace = observe({ open: (kind, params) => { assert.deepEqual([kind, params], ['observe', { session_id: 'kitchen', audio: true }]); return channel; } }, 'kitchen', (...end) => ends.push(end));
  const tell = (type, fields) => channel.dispatchEvent(new CustomEvent(type, { detail: { type, ...fields } }));
  tell('observe.event', { direction: 'client', message: on('channel.open', { kind: 'turn', params: { text: 'what time is it' } }) });
  tell('observe.event', { direction: 'server', message: on('turn.reply', { turn_id: 'a', text: 'noon' }) });
  tell('observe.audio', { direction: 'server', source_channel: 1, encoding: 'pcm_s16le', sample_rate: 16_000 });
  tell('audio', { flags: 0, channel: 9, generation: 0, seq: 5, ptsMs: 20, payload: tone(320) });
  tell('observe.audio', { direction: 'server', source_channel: 1, encoding: 'pcm_s16le', sample_rate: 16_000 });
  tell('observe.dropped', { messages: 3, audio_bytes: 100 });
  tell('closed', { status: 'error', code: 'NOT_FOUND', message: 'gone' });
  assert.deepEqual(trace.turns.list.map(({ text, reply }) => [text, reply]), [['what time is it', 'noon']]);
  assert.deepEqual(trace.records.slice(2).map(({ direction, type, channel: of }) => [direction, type, of]), [['local', 'observe.audio', 1], ['in', 'audio', 1], ['local', 'observe.dropped', undefined], ['local', 'observe.ended', undefined]]);
  assert.equal(played, 640);
  assert.ok(mix(trace).agent.some((sample) => sample !== 0), 'its sound is kept, though its beginning was not seen');
  assert.deepEqual(ends, [['gone', true]]);
});

test('a spoken turn of OpenAI’s dialect is a turn like others', () => {
  const event = (type, fields = {}) => ({ type, event_id: 'event_1', ...fields });
  const frame = event('input_audio_buffer.append', { audio: 'A'.repeat(1280) }); // 20 ms
  const trace = traceOf(
    ...Array.from({ length: 100 }, (_, index) => [1_000 + 20 * index, 'out', frame]),
    [1_500, 'in', event('input_audio_buffer.speech_started', { audio_start_ms: 200 })],
    [3_000, 'in', event('input_audio_buffer.speech_stopped', { audio_end_ms: 1_400 })],
    [3_010, 'in', event('conversation.item.input_audio_transcription.completed', { transcript: 'what time is it' })],
    [3_020, 'in', event('response.created', { response: { id: 'resp_1' } })],
    [3_100, 'in', event('response.content_part.added', { response_id: 'resp_1', part: { type: 'audio' } })],
    [3_110, 'in', event('response.output_audio_transcript.delta', { response_id: 'resp_1', delta: 'It is ' })],
    [3_120, 'in', event('response.output_audio_transcript.delta', { response_id: 'resp_1', delta: 'nine.' })],
    [3_130, 'in', event('response.output_audio.delta', { response_id: 'resp_1', delta: 'AAAA' })],
    [3_200, 'local', { type: 'playout.sounding', channel: 'openai' }],
    [3_300, 'in', event('error', { error: { type: 'invalid_request_error', code: null, message: 'no' } })],
    [3_400, 'in', event('response.done', { response: { id: 'resp_1', status: 'completed' } })],
  );
  const [turn, ...others] = trace.turns.list;
  assert.deepEqual([others.length, turn.text, turn.reply, turn.status, turn.id], [0, 'what time is it', 'It is nine.', 'ok', 'resp_1']);
  const { speech_start: start, speech_end: end, endpoint, final, first_byte: byte, first_sound: sound } = turn.marks;
  assert.deepEqual([start, end, endpoint, final, byte, sound], [1_200, 2_400, 3_000, 3_010, 3_130, 3_200]);
  assert.deepEqual(turn.errors.map(({ code }) => code), ['invalid_request_error']);
  assert.equal(trace.records[0].message.audio, '1280 characters');
});

test('typed words and an interruption of OpenAI’s dialect', () => {
  const item = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'tell me more' }] };
  const trace = traceOf(
    [0, 'out', { type: 'conversation.item.create', event_id: 'console_1', item }],
    [10, 'in', { type: 'response.output_text.delta', event_id: 'event_1', response_id: 'resp_1', delta: 'Once' }],
    [20, 'in', { type: 'response.done', event_id: 'event_2', response: { id: 'resp_1', status: 'cancelled', status_details: { reason: 'turn_detected' } } }],
  );
  const [turn] = trace.turns.list;
  assert.deepEqual([turn.source, turn.text, turn.reply, turn.status, turn.marks.sent], ['text', 'tell me more', 'Once', 'interrupted', 0]);
});

test('durations never have a sixtieth second, whatever their sign', () => {
  const told = [119_700, 59_960, 59_940, -61_000, -5, 9.9, 999, 1_500, 600_000, NaN].map(ms);
  assert.deepEqual(told, ['2 min 0 s', '1 min 0 s', '59.9 s', '-1 min 1 s', '-5.0 ms', '9.9 ms', '999 ms', '1.50 s', '10 min', '–']);
});

test('a text that waits for the connection stands where it was typed', () => {
  const trace = new Trace('t', 'live');
  trace.add({ direction: 'local', message: { type: 'typed.waiting', channel: 1, text: 'hello' } }, 5_000);
  const [turn] = trace.turns.list;
  assert.deepEqual([turn.askedAt, stretch(turn, 7_000)], [5_000, [5_000, 7_000]]);
  trace.add({ direction: 'out', message: { type: 'channel.open', channel: 1, kind: 'turn', params: { text: 'hello' }, seq: 1 } }, 8_000);
  assert.equal(turn.askedAt, 8_000);
});

test('sound of OpenAI\'s dialect is kept, saved, opened again and mixed', async () => {
  const trace = new Trace('t', 'live');
  const sound = toBase64(new Uint8Array(new Int16Array(2_400).fill(8_000).buffer)); // 100 ms
  const say = (at, direction, message) => trace.add({ direction, message: { event_id: 'e', ...message } }, at);
  for (const at of [100, 200]) say(at, 'out', { type: 'input_audio_buffer.append', audio: sound });
  say(400, 'in', { type: 'response.content_part.added', part: { type: 'audio' } });
  for (const at of [410, 411]) say(at, 'in', { type: 'response.output_audio.delta', delta: sound });
  say(412, 'in', { type: 'response.content_part.done', part: { type: 'audio' } });
  trace.add({ direction: 'local', message: { type: 'playout.sounding', channel: 'openai' } }, 500);
  assert.match(trace.records[0].message.audio, /^\d+ characters$/);
  const forgotten = new Trace('of an older recording', 'recording');
  forgotten.add({ direction: 'out', message: trace.records[0].message }, 1);
  assert.deepEqual([forgotten.audioBytes, forgotten.records[0].message], [0, trace.records[0].message]);
  const opened = load(await save(trace, {}).text(), 'again');
  assert.equal(opened.audioBytes, trace.audioBytes);
  for (const each of [trace, opened]) {
    const { you, agent } = mix(each, 0, 1_000, 1_000);
    const loud = (track) => [track.findIndex((level) => level > 0.2), track.findLastIndex((level) => level > 0.2)];
    assert.deepEqual(loud(you), [0, 199]);
    assert.deepEqual(loud(agent), [500, 699]);
  }
});

test('after a reload, speech that comes fast is reported every 400 ms and at its end, and all its credit comes back', () => {
  const channel = Object.assign(new EventTarget(), { kind: 'tts', number: 3, told: [], bytes: 0, played(bytes, ms) { this.bytes += bytes; if (ms !== undefined) this.told.push(ms); } });
  const noted = [];
  const voice = new Voice({ channels: [channel], state: 'online' }, { note: ({ type }) => noted.push(type) }, {});
  voice.goOn([], Promise.resolve());
  assert.deepEqual(noted, ['playout.written']);
  const came = (ptsMs, size = 4, flags = 0) => channel.dispatchEvent(new CustomEvent('audio', { detail: { payload: new Uint8Array(size), ptsMs, flags } }));
  for (let ms = 5_000; ms < 65_000; ms += 40) came(ms);
  came(65_010, 0, 1);
  assert.equal(channel.bytes, 1_500 * 4);
  assert.equal(channel.told.length, 151);
  assert.deepEqual([channel.told[0], channel.told[1], channel.told.at(-1)], [5_000, 5_400, 65_010]);
  came(0);
  assert.equal(channel.told.at(-1), 0, 'the next utterance');
});

test('a text that waits longer than its session lives can still be stopped, at once', async () => {
  const opened = [];
  const open = () => opened[opened.push(Object.assign(new EventTarget(), { number: 2 * opened.length + 1, cancel() {} })) - 1];
  const trace = new Trace('t', 'live');
  const voice = new Voice({ state: 'waiting', open }, trace, {});
  await voice.say('list files');
  const closed = new CustomEvent('closed', { detail: { type: 'channel.closed', channel: 1, status: 'error', code: 'SESSION_LOST' } });
  opened[0].dispatchEvent(closed);
  while (opened.length < 2) await new Promise(setImmediate);
  assert.deepEqual(trace.turns.list.map(({ text, waits, channel }) => [text, waits, channel]), [['list files', true, 3]]);
  voice.hush();
  assert.deepEqual(trace.turns.list.map(({ status, waits }) => [status, waits]), [['cancelled', false]]);
});
