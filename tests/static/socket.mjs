// A gateway's end of a WebSocket, by hand: no network, no clock.

import { decodeFrame, encodeFrame } from '../../static/jarvis/codec.js';

/** Remembers every socket that the client opened. */
export function fakeNetwork() {
  const sockets = [];
  class FakeSocket {
    readyState = 0;
    /** Everything sent, text parsed, frames decoded. */ sent = [];

    constructor(address, protocols) {
      this.address = new URL(address);
      this.protocols = protocols;
      sockets.push(this);
    }

    send(data) {
      this.sent.push(typeof data === 'string' ? JSON.parse(data) : decodeFrame(data));
    }

    close(code) {
      this.readyState = 3;
      this.closedWith = code;
      this.onclose?.({ code, reason: '' });
    }

    // --- what the server does ---

    say(...messages) {
      this.readyState = 1;
      for (const message of messages) this.onmessage({ data: JSON.stringify(message) });
    }

    play(frame) {
      const bytes = encodeFrame(frame);
      this.onmessage({ data: bytes.buffer });
    }

    drop(code = 1006, reason = '') {
      this.readyState = 3;
      this.onclose({ code, reason });
    }

    types() {
      return this.sent.map((message) => message.type ?? `frame ${message.seq}`);
    }
  }
  return { FakeSocket, sockets, get last() { return sockets.at(-1); } };
}

export const ready = (more = {}) => ({
  type: 'session.ready', session_id: 's', epoch: 'e1', resume_token: 'rt1', recovered: false, protocol: 'jarvis.v1', user: { user_id: 'u', roles: [] },
  heartbeat_ms: 20_000, resume_window_ms: 60_000, limits: {}, services: {}, audio: { encodings: [], sample_rates: [] }, ...more,
});

export const resumed = (taken, channels = {}) => ({ type: 'session.resumed', epoch: 'e1', recovered: true, replayed: 0, taken_seq: taken, channels });
