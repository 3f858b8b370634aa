/**
 * Encode one binary message.
 * @param {{channel: number, payload: Uint8Array | ArrayBuffer, generation?: number, seq?: number, ptsMs?: number, flags?: number}} frame
 * @returns {Uint8Array<ArrayBuffer>} a new array; pass its buffer to `WebSocket.send` or `postMessage`
 * @throws {RangeError} if a number does not fit its field
 */
export function encodeFrame({ channel, payload, generation, seq, ptsMs, flags }: {
    channel: number;
    payload: Uint8Array | ArrayBuffer;
    generation?: number;
    seq?: number;
    ptsMs?: number;
    flags?: number;
}): Uint8Array<ArrayBuffer>;
/**
 * Decode one binary message. The payload is a view, not a copy; use `payload.slice()` if alignment matters.
 * @param {Uint8Array | ArrayBuffer} data
 * @returns {Frame}
 * @throws {FrameError} if the header is too short or of another version
 */
export function decodeFrame(data: Uint8Array | ArrayBuffer): Frame;
/**
 * The binary frame of `jarvis.v1`: 16 bytes of header, big-endian, then audio. No dependencies; runs in browsers, workers and Node.
 *
 * @module jarvis/codec
 */
export const VERSION: 1;
export const HEADER_BYTES: 16;
/** Flag: the last frame of this input or utterance. */
export const LAST: 1;
/** Flag: audio was lost before this frame. */
export const LOST: 2;
/** @typedef {import('./client.js').Frame} Frame */
/** The data is not a valid frame. */
export class FrameError extends Error {
    closeCode: number;
}
export type Frame = import("./client.js").Frame;
