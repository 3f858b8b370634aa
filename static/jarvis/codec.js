/**
 * The binary frame of `jarvis.v1`: 16 bytes of header, big-endian, then audio. No dependencies; runs in browsers, workers and Node.
 *
 * @module jarvis/codec
 */

export const VERSION = 1;
export const HEADER_BYTES = 16;
/** Flag: the last frame of this input or utterance. */
export const LAST = 0x01;
/** Flag: audio was lost before this frame. */
export const LOST = 0x02;

/** @typedef {import('./client.js').Frame} Frame */

/** The data is not a valid frame. */
export class FrameError extends Error {
	name = 'FrameError';
	closeCode = 1002;
}

/** @param {Record<string, number>} values @param {number} bits */
function checkUnsigned(values, bits) {
	for (const [name, value] of Object.entries(values)) {
		if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) throw new RangeError(`${name}: ${value} is no unsigned number of ${bits} bits`);
	}
}

/**
 * Encode one binary message.
 * @param {{channel: number, payload: Uint8Array | ArrayBuffer, generation?: number, seq?: number, ptsMs?: number, flags?: number}} frame
 * @returns {Uint8Array<ArrayBuffer>} a new array; pass its buffer to `WebSocket.send` or `postMessage`
 * @throws {RangeError} if a number does not fit its field
 */
export function encodeFrame({ channel, payload, generation = 0, seq = 0, ptsMs = 0, flags = 0 }) {
	checkUnsigned({ flags }, 8);
	checkUnsigned({ channel }, 16);
	checkUnsigned({ generation, seq, ptsMs }, 32);
	const audio = payload instanceof Uint8Array ? payload : new Uint8Array(payload);
	const data = new Uint8Array(HEADER_BYTES + audio.byteLength);
	const header = new DataView(data.buffer);
	header.setUint8(0, VERSION);
	header.setUint8(1, flags);
	header.setUint16(2, channel);
	header.setUint32(4, generation);
	header.setUint32(8, seq);
	header.setUint32(12, ptsMs);
	data.set(audio, HEADER_BYTES);
	return data;
}

/**
 * Decode one binary message. The payload is a view, not a copy; use `payload.slice()` if alignment matters.
 * @param {Uint8Array | ArrayBuffer} data
 * @returns {Frame}
 * @throws {FrameError} if the header is too short or of another version
 */
export function decodeFrame(data) {
	const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
	if (bytes.byteLength < HEADER_BYTES) {
		throw new FrameError(`a frame has ${HEADER_BYTES} bytes of header`);
	}
	const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
	const version = header.getUint8(0);
	if (version !== VERSION) {
		throw new FrameError(`frame version ${version} is not ${VERSION}`);
	}
	return {
		flags: header.getUint8(1),
		channel: header.getUint16(2),
		generation: header.getUint32(4),
		seq: header.getUint32(8),
		ptsMs: header.getUint32(12),
		payload: bytes.subarray(HEADER_BYTES),
	};
}
