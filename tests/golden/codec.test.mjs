// The JavaScript codec against the same vectors as the Python one: node --test tests/golden/codec.test.mjs
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { decodeFrame, encodeFrame, FrameError, HEADER_BYTES, LAST, LOST, VERSION } from '../../static/jarvis/codec.js';

const vectors = JSON.parse(readFileSync(new URL('frames.json', import.meta.url), 'utf8'));
const messages = JSON.parse(readFileSync(new URL('messages.json', import.meta.url), 'utf8'));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data) => Buffer.from(data).toString('hex');

for (const vector of vectors.frames) {
  const { flags, channel, generation, seq, pts_ms: ptsMs } = vector;
  const payload = bytes(vector.payload_hex);

  test(`encodes: ${vector.name}`, () => {
    assert.equal(hex(encodeFrame({ flags, channel, generation, seq, ptsMs, payload })), vector.hex);
    assert.equal(hex(encodeFrame({ flags, channel, generation, seq, ptsMs, payload: payload.buffer })), vector.hex);
  });

  test(`decodes: ${vector.name}`, () => {
    assert.deepEqual(decodeFrame(bytes(vector.hex)), { flags, channel, generation, seq, ptsMs, payload });
    assert.deepEqual(decodeFrame(bytes(vector.hex).buffer).payload, payload);
  });
}

for (const vector of vectors.broken) {
  test(`refuses: ${vector.name}`, () => {
    assert.throws(
      () => decodeFrame(bytes(vector.hex)),
      (error) => error instanceof FrameError && error.closeCode === vector.close_code && error.name === 'FrameError',
    );
  });
}

test('decodes a frame in the middle of a larger buffer', () => {
  const [vector] = vectors.frames;
  const larger = bytes(`aabbcc${vector.hex}`);
  assert.equal(hex(decodeFrame(larger.subarray(3)).payload), vector.payload_hex);
});

test('numbers left out are 0', () => {
  assert.equal(hex(encodeFrame({ channel: 1, payload: new Uint8Array() })), '01000001000000000000000000000000');
  assert.deepEqual([VERSION, HEADER_BYTES, LAST, LOST], [1, 16, 1, 2]);
});

for (const wrong of [{ channel: 65536 }, { channel: -1 }, { seq: 2 ** 32 }, { ptsMs: 1.5 }, { flags: 256 }, { generation: NaN }]) {
  test(`does not wrap ${JSON.stringify(wrong)}`, () => {
    assert.throws(() => encodeFrame({ channel: 1, payload: new Uint8Array(), ...wrong }), RangeError);
  });
}

test('every text message is an object of a type that JavaScript reads and writes without loss', () => {
  for (const text of [...messages.client, ...messages.server]) {
    const message = JSON.parse(text);
    assert.equal(typeof message.type, 'string');
    assert.deepEqual(JSON.parse(JSON.stringify(message)), message);
  }
});
