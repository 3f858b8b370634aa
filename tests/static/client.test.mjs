// The JavaScript client against a scripted server: node --test tests/static

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { JarvisClient, JarvisError, Speaker } from '../../static/jarvis-client.js';
import { LOST } from '../../static/jarvis/codec.js';
import { fakeNetwork, ready, resumed } from './socket.mjs';

const TICK = () => new Promise((resolve) => { setImmediate(resolve); });
const ABORTED = { status: 'error', code: 'SESSION_LOST' };

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  mock.method(Math, 'random', () => 0.5);
});

async function online(options = {}) {
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway/', { sessionId: 'kitchen', token: 't', webSocket: network.FakeSocket, ...options });
  const connected = client.connect();
  await TICK();
  network.last?.say(ready());
  await connected;
  return { client, network };
}

async function cutAndBack(client, network, taken, channels = {}) {
  network.last.drop();
  mock.timers.tick(10_000);
  await TICK();
  network.last.say(resumed(taken, channels));
}

const heard = (target, type) => {
  const found = [];
  target.addEventListener(type, ({ detail }) => found.push(detail));
  return found;
};

const withoutPings = (socket) => socket.types().filter((type) => type !== 'ping');

test('brings its token in the subprotocol, and says who it is by the address', async () => {
  const { network } = await online();
  assert.deepEqual(network.last.protocols, ['jarvis.v1', 'jarvis.bearer.t']);
  assert.equal(network.last.address.href, 'ws://gateway/ws/kitchen');
});

test('asks for a ticket before every connection', async () => {
  let tickets = 0;
  const { client, network } = await online({ token: undefined, getTicket: async () => `ticket${++tickets}` });
  assert.equal(network.last.address.searchParams.get('ticket'), 'ticket1');
  await cutAndBack(client, network, 0);
  assert.equal(network.last.address.searchParams.get('ticket'), 'ticket2');
});

test('a ticket that the gateway does not know is asked for again, but not for ever', async () => {
  let tickets = 0;
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, getTicket: async () => `ticket${++tickets}` });
  const connected = client.connect();
  const refuse = async () => {
    await TICK();
    network.last.say({ type: 'error', code: 'UNAUTHENTICATED', message: 'the ticket was used', retryable: false });
    network.last.drop(4501);
    mock.timers.tick(10_000);
  };
  await refuse();
  await TICK();
  network.last.say(ready());
  await connected;
  assert.equal(tickets, 2);
  const lost = assert.rejects(client.call('ws.stats'), { code: 'UNAUTHENTICATED' });
  for (let count = 0; count < 3; count += 1) await refuse();
  await lost;
  assert.equal(client.state, 'failed');
  assert.equal(tickets, 4);
});

test('no ticket at all is final, a network that fails is not', async () => {
  const network = fakeNetwork();
  const refused = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, getTicket: async () => { throw new JarvisError('TOKEN_EXPIRED', 'sign in'); } });
  await assert.rejects(refused.connect(), { code: 'TOKEN_EXPIRED' });
  let calls = 0;
  const flaky = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, getTicket: async () => { calls += 1; if (calls < 3) throw [new TypeError('fetch failed'), new Error('overloaded')][calls - 1]; return 'x'; } });
  const reasons = [];
  flaky.addEventListener('disconnected', ({ detail }) => reasons.push(detail.reason));
  flaky.connect({ keepTrying: true }).catch(() => undefined);
  for (let attempt = 0; attempt < 3; attempt += 1) { await TICK(); mock.timers.tick(10_000); }
  await TICK();
  assert.equal(network.sockets.length, 1);
  assert.deepEqual(reasons, ['', 'overloaded'], 'what the gateway said, not what the browser calls silence');
});

test('nobody can guess the id of a session, also where there is no randomUUID (pages without https)', () => {
  const idOf = () => new JarvisClient('ws://gateway').sessionId;  // Math.random is always 0.5 here
  const { crypto } = globalThis;
  assert.match(idOf(), /^web-[a-z\d]{12,}$/);
  assert.notEqual(idOf(), idOf());
  for (const given of [{ getRandomValues: (words) => crypto.getRandomValues(words) }, undefined]) {
    Object.defineProperty(globalThis, 'crypto', { value: given, configurable: true, writable: true });
    try {
      assert.match(idOf(), /^web-[a-z\d]{12,}$/);
      assert.equal(idOf() === idOf(), !given);
    } finally {
      Object.defineProperty(globalThis, 'crypto', { value: crypto, configurable: true, writable: true });
    }
  }
});

test('a call is answered by its result or its error', async () => {
  const { client, network } = await online();
  const fine = client.call('agent.intent', { text: 'hi' });
  const wrong = client.call('no.such');
  const [first, second] = network.last.sent.filter((message) => message.type === 'call');
  network.last.say({ type: 'result', id: first.id, data: { intent: 'greet' }, seq: 1 }, { type: 'error', id: second.id, code: 'UNKNOWN_OPERATION', message: 'no', retryable: false, seq: 2 });
  assert.deepEqual(await fine, { intent: 'greet' });
  await assert.rejects(wrong, { code: 'UNKNOWN_OPERATION' });
});

test('commands said before the session is ready are sent when it is', async () => {
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, token: 't' });
  client.connect();
  client.open('turn', { text: 'hello' });
  await TICK();
  assert.deepEqual(network.last.sent, []);
  network.last.say(ready());
  assert.equal(network.last.sent[0].type, 'channel.open');
  assert.equal(network.last.sent[0].seq, 1);
});

test('microphone frames wait for credit, and the end waits for the frames', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  for (let frame = 0; frame < 3; frame += 1) turn.sendAudio(new Uint8Array(10), frame * 20);
  turn.end();
  assert.deepEqual(withoutPings(network.last), ['channel.open']);
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 20, seq: 1 });
  assert.deepEqual(withoutPings(network.last).slice(1), ['frame 0', 'frame 1']);
  network.last.say({ type: 'credit', channel: 1, bytes: 20, next_frame: 2, seq: 2 });
  assert.deepEqual(withoutPings(network.last).slice(1), ['frame 0', 'frame 1', 'frame 2', 'channel.end']);
  assert.equal(turn.keptBytes, 10);
});

test('consent to a recording is given with every connection', async () => {
  const { client, network } = await online({ record: true });
  assert.equal(network.last.address.searchParams.get('record'), 'true');
  await cutAndBack(client, network, 0, {});
  assert.equal(network.last.address.searchParams.get('record'), 'true');
});

test('after a cut, what was not taken is sent again in its first order', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 1000, seq: 1 });
  turn.sendAudio(new Uint8Array(10));
  turn.sendAudio(new Uint8Array(10));
  turn.commit();
  turn.sendAudio(new Uint8Array(10));
  turn.end();
  await cutAndBack(client, network, 1, { 1: 1 });
  const query = network.last.address.searchParams;
  assert.equal(query.get('resume'), 'rt1');
  assert.equal(query.get('last_seq'), '1');
  assert.deepEqual(withoutPings(network.last), ['frame 1', 'commit', 'frame 2', 'channel.end']);
  assert.equal(turn.credit, 1000 - 30);
});

test('another page goes on with the session, its numbers and its channels', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', { text: 'a' });
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 0, seq: 1 });
  network.last.play({ channel: 1, seq: 2, ptsMs: 60, payload: new Uint8Array(40) }); // nobody has played it
  network.last.drop();
  client.open('turn', { text: 'typed while offline' });
  const parked = JSON.parse(JSON.stringify(client.park()));
  client.close();
  assert.equal(client.park(), null, 'a session that was ended is not gone on with');

  const again = fakeNetwork();
  const page = new JarvisClient('ws://gateway/', { token: 't', webSocket: again.FakeSocket, resume: parked });
  const [went] = page.channels;
  const replies = heard(went, 'turn.reply');
  const connected = page.connect();
  await TICK();
  assert.equal(again.last.address.pathname, '/ws/kitchen');
  assert.deepEqual([again.last.address.searchParams.get('resume'), again.last.address.searchParams.get('last_seq')], ['rt1', '2']);
  again.last.say(resumed(1));
  await connected;
  again.last.say({ type: 'turn.reply', channel: turn.number, text: 'b', seq: 3 });
  assert.deepEqual(replies.map(({ text }) => text), ['b']);
  assert.deepEqual(again.last.sent.filter((each) => each.type === 'channel.open').map(({ channel, seq, params }) => [channel, seq, params.text]), [[3, 2, 'typed while offline']]);
  assert.deepEqual(again.last.sent.filter((each) => each.type === 'credit').map(({ channel, bytes }) => [channel, bytes]), [[1, 40]]);
  assert.deepEqual(again.last.sent.filter((each) => each.type === 'playback').map(({ channel, played_ms: ms }) => [channel, ms]), [[1, 60]], 'the server would wait for it');
  assert.equal(page.open('turn', { text: 'c' }).number, 5);
});

test('while it is away, sound and commands wait; nothing leaves before the server has said how the session goes on', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 1000, seq: 1 });
  network.last.drop();
  turn.sendAudio(new Uint8Array(10));
  turn.end();
  mock.timers.tick(10_000);
  await TICK();
  network.last.readyState = 1;
  turn.cancel();
  assert.deepEqual(network.last.sent, []);
  network.last.say(resumed(1, { 1: 0 }));
  assert.deepEqual(withoutPings(network.last), ['channel.cancel', 'frame 0', 'channel.end']);
});

test('a message that comes twice is told once', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', { text: 'x' });
  const replies = heard(turn, 'turn.reply');
  const reply = { type: 'turn.reply', channel: 1, text: 'yes', seq: 1 };
  network.last.say(reply);
  await cutAndBack(client, network, 1);
  network.last.say(reply, { ...reply, seq: 2 });
  assert.equal(replies.length, 2);
});

test('a session that is lost ends its channels and calls, and a new epoch begins at one', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  const closed = heard(turn, 'closed');
  const call = client.call('agent.intent', { text: 'x' });
  network.last.drop();
  mock.timers.tick(10_000);
  await TICK();
  network.last.say(ready({ epoch: 'e2', resume_error: 'EXPIRED' }));
  assert.equal(closed[0].code, ABORTED.code);
  await assert.rejects(call, { code: ABORTED.code });
  client.open('tts', { text: 'a' });
  const { channel, seq } = network.last.sent.find((message) => message.type === 'channel.open');
  assert.deepEqual([channel, seq], [1, 1]);
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'tts', credit: 0, seq: 1 });
  assert.equal(client.lastSeq, 1);
});

test('sound of an older generation never reaches the page, and its credit goes back', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  const audio = heard(turn, 'audio');
  const stale = heard(turn, 'stale');
  const frame = (seq, generation) => network.last.play({ channel: 1, generation, seq, ptsMs: 0, payload: new Uint8Array(60_000) });
  frame(1, 0);
  network.last.say({ type: 'turn.interrupted', channel: 1, generation: 1, heard_ms: 10, heard_text: '', seq: 2 });
  frame(3, 0);
  frame(4, 0);
  frame(5, 0);
  frame(6, 1);
  assert.deepEqual(audio.map(({ generation }) => generation), [0, 1]);
  assert.deepEqual(stale, [{ generation: 1 }]);
  const credit = network.last.sent.find((message) => message.type === 'credit');
  assert.equal(credit.bytes, 180_000);
});

test('acknowledges every 32 messages, 64 KiB, or second', async () => {
  const { client, network } = await online();
  client.open('turn', {});
  const acks = () => network.last.sent.filter((message) => message.type === 'ack').map(({ seq }) => seq);
  for (let seq = 1; seq <= 32; seq += 1) network.last.say({ type: 'stt.partial', channel: 1, text: 'x', stable_chars: 0, seq });
  assert.deepEqual(acks(), [32]);
  network.last.say({ type: 'turn.reply', channel: 1, text: 'x', seq: 33 });
  mock.timers.tick(1_000);
  assert.deepEqual(acks(), [32, 33]);
  network.last.play({ channel: 1, generation: 0, seq: 34, ptsMs: 0, payload: new Uint8Array(66_000) });
  assert.deepEqual(acks(), [32, 33, 34]);
});

test('sound that nobody takes is given up from its oldest end, and marked', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  for (let frame = 0; frame < 40; frame += 1) turn.sendAudio(new Uint8Array(60_000));
  assert.ok(turn.keptBytes <= 2_097_152);
  assert.ok(turn.lostBytes > 0);
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 130_000, seq: 1 });
  const first = network.last.sent.find((message) => message.payload);
  assert.equal(first.seq, turn.lostBytes / 60_000);
  assert.equal(first.flags, LOST);
});

test('comes back after a while that grows, and at once when asked', async () => {
  const { client, network } = await online();
  const waits = heard(client, 'disconnected');
  for (let attempt = 0; attempt < 3; attempt += 1) {
    network.last.drop();
    mock.timers.tick(10_000);
    await TICK();
  }
  assert.deepEqual(waits.map(({ retry_in_ms: wait }) => wait), [100, 200, 400]);
  network.last.drop();
  client.retryNow();
  await TICK();
  assert.equal(client.state, 'connecting');
});

test('a close code that says no is final, and tells why', async () => {
  const { client, network } = await online();
  const failed = heard(client, 'failed');
  network.last.say({ type: 'error', code: 'SESSION_TAKEN_OVER', message: 'by another socket', retryable: false });
  network.last.drop(4510);
  assert.deepEqual([failed[0].code, failed[0].message], ['SESSION_TAKEN_OVER', 'by another socket']);
  mock.timers.tick(60_000);
  await TICK();
  assert.equal(network.sockets.length, 1);
});

for (const [what, happens, code] of [
  ['a server that opens a socket and says nothing', () => mock.timers.tick(15_000), 'UNREACHABLE'],
  ['a client without a token', (socket) => { socket.say({ type: 'error', code: 'UNAUTHENTICATED', message: 'no token came in time' }); socket.drop(4008); }, 'UNAUTHENTICATED'],
  ['a gateway with too much to do', (socket) => socket.drop(1013), '1013'],
  ['text of another protocol', (socket) => { socket.readyState = 1; socket.onmessage({ data: 'hello!' }); }, '1002'],
  ['bytes of another protocol', (socket) => { socket.readyState = 1; socket.onmessage({ data: new Uint8Array(3).buffer }); }, '1002'],
]) {
  test(`connect() settles with a reason: ${what}`, async () => {
    mock.method(globalThis, 'fetch', async () => { throw new TypeError('fetch failed'); });
    const network = fakeNetwork();
    const client = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
    const refused = assert.rejects(client.connect(), { name: 'JarvisError', code });
    await TICK();
    happens(network.last);
    await refused;
    assert.equal(client.state, 'failed');
    mock.timers.tick(60_000);
    assert.equal(network.sockets.length, 1);
  });
}

test('a refused call names the wrong fields', () => {
  const errors = [{ pointer: '#/text', detail: 'is too long' }, { pointer: '#/language', detail: 'is unknown' }];
  assert.equal(new JarvisError('VALIDATION_ERROR', 'the parameters are wrong', { errors }).message, 'the parameters are wrong; text: is too long; language: is unknown');
  assert.equal(new JarvisError('RATE_LIMITED', 'wait', null).message, 'wait');
});

test('a reconnection that brings no session is tried again', async () => {
  const { client, network } = await online();
  network.last.drop();
  mock.timers.tick(10_000);
  await TICK();
  mock.timers.tick(15_000);
  assert.equal(network.last.closedWith, undefined);
  assert.equal(network.last.readyState, 3);
  mock.timers.tick(10_000);
  await TICK();
  assert.equal(network.sockets.length, 3);
  network.last.say(resumed(0));
  assert.equal(client.state, 'online');
});

test('an expired token is final, a ticket is asked for again', async () => {
  const { client, network } = await online();
  network.last.drop(4009);
  assert.equal(client.state, 'failed');
  const other = await online({ token: undefined, getTicket: async () => 'x' });
  other.network.last.drop(4009);
  assert.equal(other.client.state, 'waiting');
});

test('a command that JSON cannot hold uses no number up', async () => {
  const { client, network } = await online();
  await assert.rejects(client.call('agent.intent', { text: 1n }), { code: 'INVALID_ARGUMENT' });
  assert.throws(() => client.open('turn', { text: 1n }), { code: 'INVALID_ARGUMENT' });
  assert.deepEqual(client.channels, []);
  client.call('agent.intent', { text: 'x' }).catch(() => undefined);
  assert.equal(network.last.sent.at(-1).seq, 1);
});

test('an address that is none: what one looks like', async () => {
  const { FakeSocket: webSocket, sockets } = fakeNetwork();
  for (const url of [undefined, '', 'localhost:8000', '/ws', 'ftp://gateway', 'http://', 'http://gateway/?x=1', 'http://ada:secret@gateway', 'http://my gateway']) {
    await assert.rejects(new JarvisClient(url, { webSocket }).connect(), ({ code, message }) => code === 'INVALID_URL' && /write http:\/\/HOST:PORT or https:\/\/HOST/.test(message) && !message.includes('secret'), url);
  }
  assert.equal(sockets.length, 0);
  for (const url of ['http://gateway:8000/', 'HTTPS://gateway/voice/', 'ws://[::1]:8000', ' wss://gateway ']) new JarvisClient(url, { webSocket, token: 't' }).connect().catch(() => undefined);
  await TICK();
  assert.deepEqual(sockets.map(({ address }) => address.origin + address.pathname.replace(/[^/]+$/, '')), ['ws://gateway:8000/ws/', 'wss://gateway/voice/ws/', 'ws://[::1]:8000/ws/', 'wss://gateway/ws/']);
});

test('a session id or a token that none can be', async () => {
  const { FakeSocket: webSocket } = fakeNetwork();
  await assert.rejects(new JarvisClient('ws://gateway', { webSocket, sessionId: 'a/b' }).connect(), { code: 'INVALID_ARGUMENT', message: /a\/b.*1 to 128 letters/ });
  await assert.rejects(new JarvisClient('ws://gateway', { webSocket, token: 'eyJ.x.y\n' }).connect(), ({ code, message }) => code === 'UNAUTHENTICATED' && !message.includes('eyJ'));
});

test('what no park() gave, and no WebSocket', async () => {
  const { FakeSocket: webSocket } = fakeNetwork();
  const { client } = await online();
  const parked = client.park();
  for (const resume of [{}, 'parked', 7, { ...parked, resumeToken: '' }, { ...parked, lastSeq: undefined }, { ...parked, nextChannel: 'x' }, { ...parked, channels: 7 }, { ...parked, commands: null }]) {
    assert.throws(() => new JarvisClient('ws://gateway', { webSocket, token: 't', resume }), { name: 'JarvisError', code: 'INVALID_ARGUMENT', message: /park\(\)/ });
  }
  await assert.rejects(new JarvisClient('ws://gateway', { webSocket: 7, token: 't' }).connect(), { code: 'NO_WEBSOCKET' });
});

test('what is no JSON, no text and no position', async () => {
  const { client, network } = await online();
  const circle = {};
  circle.circle = circle;
  for (const value of [10n, circle]) await assert.rejects(client.call('memory.store', { value }), { name: 'JarvisError', code: 'INVALID_ARGUMENT' });
  const channel = client.open('tts', {});
  for (const text of [undefined, 7, null, ['x']]) assert.throws(() => channel.sendText(text), { code: 'INVALID_ARGUMENT' });
  for (const playedMs of [NaN, -1, 'x']) assert.throws(() => channel.played(0, playedMs), { code: 'INVALID_ARGUMENT' });
  assert.deepEqual(network.last.sent.map(({ seq }) => seq).filter(Boolean), [1]);
});

test('nobody to be: a proxy may add a token, and a gateway without one is not to wait for it', async () => {
  for (const who of [{}, { token: '' }, { token: undefined, userId: '' }]) {
    const network = fakeNetwork();
    const client = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, ...who });
    const refused = assert.rejects(client.connect(), { code: 'UNAUTHENTICATED', message: 'no token' });
    await TICK();
    assert.equal(network.last.address.searchParams.get('auth'), 'none');
    network.last.say({ type: 'error', code: 'UNAUTHENTICATED', message: 'no token', retryable: false });
    network.last.drop(4501);
    await refused;
  }
  const { FakeSocket: webSocket, sockets } = fakeNetwork();
  await assert.rejects(new JarvisClient('ws://gateway', { webSocket, getTicket: 'ticket' }).connect(), { code: 'INVALID_ARGUMENT', message: /getTicket/ });
  assert.equal(sockets.length, 0);
});

test('what is no frame is refused and takes no number', async () => {
  const { client, network } = await online();
  const channel = client.open('stt', {});
  network.last.say({ type: 'channel.opened', id: channel.id, channel: channel.number, credit: 64_000, seq: 1 });
  for (const payload of [new Int16Array(320), [1, 2], 'pcm', 7, undefined]) assert.throws(() => channel.sendAudio(payload), { code: 'INVALID_ARGUMENT' });
  assert.throws(() => channel.sendAudio(new Uint8Array(640), NaN), RangeError);
  assert.throws(() => channel.played(undefined, 20), { code: 'INVALID_ARGUMENT' });
  channel.sendAudio(new Uint8Array(640));
  assert.equal(channel.keptBytes, 640);
  assert.equal(network.last.sent.at(-1).seq, 0);
});

// --- nothing waits for ever ---

async function away(network, seconds) {
  for (let passed = 0; passed < seconds; passed += 5) {
    mock.timers.tick(5_000);
    await TICK();
    if (network.last.readyState === 0) network.last.drop();
  }
}

test('what waits for a gateway that does not return ends with a reason, and the client goes on trying', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  const closed = heard(turn, 'closed');
  network.last.drop();
  const lost = [client.call('agent.intent', { text: 'x' }), client.confirm('q1', true)].map((asked) => assert.rejects(asked, { code: 'SESSION_LOST', message: /nobody answers at ws:\/\/gateway/ }));
  await away(network, 55);
  assert.equal(closed.length, 0, 'the gateway keeps the session for a minute');
  await away(network, 10);
  await Promise.all(lost);
  assert.deepEqual(closed.map(({ status, code }) => [status, code]), [['error', 'SESSION_LOST']]);
  assert.equal(client.state, 'waiting');

  const later = assert.rejects(client.call('agent.intent', { text: 'y' }), { code: 'SESSION_LOST' }, 'also what is asked meanwhile');
  await away(network, 65);
  await later;

  const kept = client.call('agent.intent', { text: 'z' });
  const parked = JSON.parse(JSON.stringify(client.park()));
  client.retryNow();
  await TICK();
  assert.equal(network.last.address.searchParams.get('resume'), null, 'it would be in vain');
  network.last.say(ready({ epoch: 'e2' }));
  const [call] = network.last.sent.filter(({ type }) => type === 'call');
  assert.equal(call.seq, 1);
  network.last.say({ type: 'result', id: call.id, data: 'fine', seq: 1 });
  assert.equal(await kept, 'fine');
  assert.deepEqual(parked.commands.map(({ command }) => command.params), [{ text: 'z' }], 'a reload keeps it as well');
});

test('a handshake that hangs at that moment resumes nothing', async () => {
  const { client, network } = await online();
  network.last.drop();
  await away(network, 55);
  mock.timers.tick(4_000);
  client.retryNow();
  await TICK();
  const hanging = network.last;
  mock.timers.tick(1_000);
  assert.equal(hanging.closedWith, 4000);
});

for (const window of [0, 300]) {
  test(`a gateway that keeps sessions for ${window} ms is come back to`, async () => {
    const network = fakeNetwork();
    const client = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
    client.connect();
    await TICK();
    network.last.say(ready({ resume_window_ms: window }));
    network.last.drop();
    for (let passed = 0; passed < 1_000; passed += 100) { mock.timers.tick(100); await TICK(); } // a slow handshake
    network.last.say(ready({ epoch: 'e2' }));
    assert.equal(client.state, 'online');
    assert.ok(network.sockets.length < 4);
  });
}

test('what waits for a gateway that was never there ends, too', async () => {
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
  client.connect({ keepTrying: true }).catch(() => undefined);
  const call = assert.rejects(client.call('ws.stats'), { code: 'SESSION_LOST' });
  await TICK();
  await away(network, 65);
  await call;
  assert.notEqual(client.state, 'failed');
});

test('what is asked of a client that is not connected is refused at once', async () => {
  const refused = async (client, code) => {
    await assert.rejects(client.call('ws.stats'), { code });
    await assert.rejects(client.confirm('q1', true), { code });
    const closed = heard(client.open('turn', { text: 'x' }), 'closed');
    await TICK();
    assert.deepEqual(closed.map((each) => [each.status, each.code]), [['error', code]]);
    assert.deepEqual(client.channels, []);
  };
  const { client, network } = await online();
  client.close();
  await refused(client, 'CLOSED');
  await refused(new JarvisClient('ws://gateway/', { webSocket: network.FakeSocket }), 'CLOSED');
  const taken = await online();
  taken.network.last.say({ type: 'error', code: 'SESSION_TAKEN_OVER', message: 'by another socket', retryable: false });
  taken.network.last.drop(4510);
  await refused(taken.client, 'SESSION_TAKEN_OVER');
});

test('a channel that the gateway refuses to open is closed, and the page is told', async () => {
  const { client, network } = await online();
  const told = heard(client, 'error');
  const closed = heard(client.open('turn', { sample_rate: 1 }), 'closed');
  const other = client.open('turn', {});
  const [{ id }] = network.last.sent.filter(({ type }) => type === 'channel.open');
  network.last.say({ type: 'error', id, code: 'INVALID_FIELD', message: 'params.sample_rate: at least 8000', retryable: false, seq: 1 });
  assert.deepEqual(closed.map(({ status, code }) => [status, code]), [['error', 'INVALID_FIELD']]);
  assert.deepEqual(client.channels, [other]);
  assert.deepEqual(told.map(({ code }) => code), ['INVALID_FIELD']);
  const call = assert.rejects(client.call('no.such'), { code: 'UNKNOWN_OPERATION' });
  network.last.say({ type: 'error', id: network.last.sent.at(-1).id, code: 'UNKNOWN_OPERATION', message: 'no', retryable: false, seq: 2 });
  await call;
  assert.equal(told.length, 1, 'the caller knows');
});

test('connect() settles also if the client is closed, and after a reload', async () => {
  const network = fakeNetwork();
  const closed = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
  const refused = assert.rejects(closed.connect({ keepTrying: true }), { code: 'CLOSED' });
  await TICK();
  closed.close();
  await refused;

  const { client } = await online();
  const page = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket, resume: client.park() });
  const away_ = assert.rejects(page.connect(), { code: 'UNREACHABLE' });
  await TICK();
  network.last.drop();
  await away(network, 65);
  await away_;
  assert.equal(page.state, 'failed');
});

test('connect() of a client that is connected, or connecting, opens no second socket', async () => {
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
  const both = [client.connect(), client.connect()];
  await TICK();
  network.last.say(ready());
  both.push(client.connect());
  for (const session of await Promise.all(both)) assert.equal(session.resume_token, 'rt1');
  assert.equal(network.sockets.length, 1);
});

test('a client that is closed while a ticket is on its way stays closed', async () => {
  const tickets = [];
  const getTicket = () => new Promise((resolve, reject) => { tickets.push({ resolve, reject }); });
  for (const settle of ['resolve', 'reject']) {
    const network = fakeNetwork();
    const client = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, getTicket });
    const connected = client.connect();
    tickets.pop().resolve('first');
    await TICK();
    network.last.say(ready());
    await connected;
    network.last.drop();
    mock.timers.tick(10_000);
    client.close();
    tickets.pop()[settle](new TypeError('fetch failed'));
    await TICK();
    mock.timers.tick(10_000);
    assert.equal(client.state, 'closed');
    assert.deepEqual([network.sockets.length, tickets.length], [1, 0]);
  }
});

test('connect() behind close() does not use the ticket of the attempt before', async () => {
  const network = fakeNetwork();
  const tickets = [];
  const client = new JarvisClient('ws://gateway', { webSocket: network.FakeSocket, getTicket: () => new Promise((resolve) => { tickets.push(resolve); }) });
  const closed = assert.rejects(client.connect(), { code: 'CLOSED' });
  client.close();
  const connected = client.connect();
  tickets[0]('old');
  tickets[1]('new');
  await TICK();
  assert.deepEqual(network.sockets.map(({ address }) => address.searchParams.get('ticket')), ['new']);
  network.last.say(ready());
  await Promise.all([closed, connected]);
});

test('nothing is said on a closed channel, whose number is another’s by now', async () => {
  const { client, network } = await online();
  const speech = client.open('tts', {});
  network.last.drop();
  mock.timers.tick(10_000);
  await TICK();
  network.last.say(ready({ epoch: 'e2', resume_error: 'EXPIRED' }));
  assert.equal(client.open('tts', {}).number, speech.number);
  speech.sendText('old words');
  speech.played(1_000_000, 5);
  speech.cancel();
  assert.deepEqual(withoutPings(network.last), ['channel.open']);
});

test('a ticket that does not come ends the attempt', async () => {
  mock.method(globalThis, 'fetch', async () => ({ ok: true }));
  const client = new JarvisClient('ws://gateway', { webSocket: fakeNetwork().FakeSocket, getTicket: () => new Promise(() => undefined) });
  const refused = assert.rejects(client.connect(), { code: 'REFUSED', message: /getTicket/ });
  mock.timers.tick(15_000);
  await refused;
});

test('what a channel’s end opens belongs to the next session', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  network.last.say({ type: 'channel.opened', channel: 1, kind: 'turn', credit: 0, seq: 1 });
  turn.addEventListener('closed', () => client.open('turn', { text: 'again' }));
  client.open('turn', {});
  network.last.drop();
  mock.timers.tick(10_000);
  await TICK();
  network.last.say(ready({ epoch: 'e2', resume_error: 'EXPIRED' }));
  assert.deepEqual(network.last.sent.filter(({ type }) => type === 'channel.open').map(({ channel, seq }) => [channel, seq]), [[1, 1]]);
});

test('sound that a browser keeps off is told', async () => {
  globalThis.AudioContext = class {
    audioWorklet = { addModule: async () => undefined };
    createGain() { return { connect() {} }; }
    resume() { return new Promise(() => undefined); } // until a click
  };
  const refused = assert.rejects(new Speaker().start(), { code: 'NO_SOUND', message: /click/ });
  await TICK();
  mock.timers.tick(3_000);
  await refused;
  delete globalThis.AudioContext;
});

test('connect settles whatever the caller\'s own functions throw', async () => {
  class Insecure { constructor() { throw new DOMException('an insecure WebSocket from a page loaded over HTTPS', 'SecurityError'); } }
  const fetches = mock.method(globalThis, 'fetch', async () => { throw new TypeError('fetch failed'); });
  try {
    for (const [options, message] of [
      [{ webSocket: Insecure, token: 't' }, /an insecure WebSocket/],
      [{ webSocket: fakeNetwork().FakeSocket, getTicket() { throw null; } }, /nobody answers/],
      [{ webSocket: fakeNetwork().FakeSocket, getTicket() { throw new Error('the vault is closed'); } }, /the vault is closed/],
    ]) {
      await assert.rejects(new JarvisClient('ws://gateway', options).connect(), { code: 'UNREACHABLE', message });
    }
  } finally {
    fetches.mock.restore();
  }
});

test('a ticket that cannot be had says why', async () => {
  mock.method(globalThis, 'fetch', async () => ({ ok: true }));
  const client = new JarvisClient('ws://gateway', { webSocket: fakeNetwork().FakeSocket, getTicket: async () => { throw new Error('the shop is closed'); } });
  await assert.rejects(client.connect(), { code: 'REFUSED', message: 'the shop is closed' });
});

test('a gateway that restarts says when to come back', async () => {
  const { client, network } = await online();
  const waits = heard(client, 'disconnected');
  network.last.say({ type: 'session.draining', reconnect_after_ms: 1234 });
  network.last.drop(1012);
  assert.equal(waits[0].retry_in_ms, 1234);
});

test('a gateway that drains is left in the next pause', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  const say = (seq, type, fields = {}) => network.last.say({ type, seq, channel: turn.number, ...fields });
  say(1, 'stt.speech_started', { at_ms: 0 });
  network.last.say({ type: 'session.draining', reconnect_after_ms: 100 });
  mock.timers.tick(100);
  say(2, 'stt.final', { text: 'hello' });
  say(3, 'turn.intent', { turn_id: 't' });
  assert.equal(client.state, 'online');
  say(4, 'turn.done', { turn_id: 't', status: 'ok' });
  assert.equal(client.state, 'waiting');
  mock.timers.tick(0);
  await TICK();
  assert.equal(network.sockets.length, 2);
});

test('a gateway that drains is left at once when nothing is under way, and not while a task runs', async () => {
  const { client, network } = await online();
  const task = client.open('execute', { executor: 'os', action: 'echo', parameters: {} });
  network.last.say({ type: 'session.draining', reconnect_after_ms: 0 });
  mock.timers.tick(0);
  assert.equal(client.state, 'online');
  network.last.say({ type: 'channel.closed', seq: 1, channel: task.number, status: 'ok' });
  assert.equal(client.state, 'waiting');
});

test('a silent server is asked, and given up after two heartbeats', async () => {
  const { client, network } = await online();
  const pings = () => network.sockets[0].types().filter((type) => type === 'ping').length;
  const pass = (seconds) => { for (let passed = 0; passed < seconds; passed += 5) mock.timers.tick(5_000); };
  const before = pings();
  pass(20);
  assert.equal(pings(), before + 1);
  pass(20);
  await TICK();
  assert.equal(network.sockets[0].closedWith, 4000);
  assert.equal(client.state, 'waiting');
});

test('answers the server’s ping also before the session goes on', async () => {
  const { network } = await online();
  network.last.say({ type: 'ping', t: 7 });
  assert.deepEqual(network.last.sent.at(-1), { type: 'pong', t: 7 });
});

test('goodbye ends the session and everything in it', async () => {
  const { client, network } = await online();
  const turn = client.open('turn', {});
  const closed = heard(turn, 'closed');
  client.close();
  assert.equal(network.last.closedWith, 1000);
  assert.equal(closed.length, 1);
  assert.equal(client.state, 'closed');
  mock.timers.tick(60_000);
  assert.equal(network.sockets.length, 1);
});

test('a socket that fails without a close, as Node 20 has it, is no reason to wait', async () => {
  const network = fakeNetwork();
  const client = new JarvisClient('ws://gateway/', { token: 't', webSocket: network.FakeSocket });
  mock.method(globalThis, 'fetch', async () => ({}));
  const refused = assert.rejects(client.connect(), { code: 'REFUSED', message: /opens no WebSocket: Unexpected server response: 503/ });
  await TICK();
  network.last.onerror({ message: 'Unexpected server response: 503' });
  mock.timers.tick(1);
  await refused;
  mock.restoreAll();
});
