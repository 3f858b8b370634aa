/**
 * One binary message.
 *
 * @param {{channel: number, payload: Uint8Array | ArrayBuffer, generation?: number, seq?: number, ptsMs?: number, flags?: number}} frame
 * @returns {Uint8Array<ArrayBuffer>} a new array: hand its buffer to `WebSocket.send` or `postMessage`
 * @throws {RangeError} when a number does not fit its field
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
 * The frame of one binary message. The payload is a view, not a copy; `payload.slice()` where its alignment matters.
 *
 * @param {Uint8Array | ArrayBuffer} data
 * @returns {Frame}
 * @throws {FrameError} when the header is too short or of another version
 */
export function decodeFrame(data: Uint8Array | ArrayBuffer): Frame;
/**
 * The binary frame of `jarvis.v1`: 16 bytes of header, big-endian, then audio. No dependencies; runs in browsers, workers and Node.
 * The same vectors as the server's codec are tested in `tests/golden`.
 *
 * @module jarvis/codec
 */
export const VERSION: 1;
export const HEADER_BYTES: 16;
/** Flag: the last frame of this input or utterance. */
export const LAST: 1;
/** Flag: audio was lost before this frame. */
export const LOST: 2;
/**
 * @typedef {object} Frame
 * @property {number} flags LAST, LOST, or both
 * @property {number} channel 1 to 65535
 * @property {number} generation audio of an older generation than the newest is not to be played; 0 from a client
 * @property {number} seq the channel's frame number from a client, the session's sequence number from a server
 * @property {number} ptsMs position in the input or utterance, in milliseconds
 * @property {Uint8Array} payload audio in the encoding agreed upon
 */
/** The other side broke the framing: close the socket with `closeCode`. */
export class FrameError extends Error {
    /**
     * @param {string} message for people
     * @param {number} closeCode for the WebSocket
     */
    constructor(message: string, closeCode: number);
    closeCode: number;
}
export type Frame = {
    /**
     * LAST, LOST, or both
     */
    flags: number;
    /**
     * 1 to 65535
     */
    channel: number;
    /**
     * audio of an older generation than the newest is not to be played; 0 from a client
     */
    generation: number;
    /**
     * the channel's frame number from a client, the session's sequence number from a server
     */
    seq: number;
    /**
     * position in the input or utterance, in milliseconds
     */
    ptsMs: number;
    /**
     * audio in the encoding agreed upon
     */
    payload: Uint8Array;
};
