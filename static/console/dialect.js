// What the events of OpenAI's Realtime API say about turns, as messages of jarvis.v1. Pure.

const CHARACTERS_PER_MS = 64; // base64 of 16 bits at 24 kHz
const reply = ({ delta = '' }) => ({ type: 'turn.reply', text: delta, more: true });

const SAYS = {
	'input_audio_buffer.append': ({ audio }) => ({ type: 'append', ms: parseInt(audio, 10) / CHARACTERS_PER_MS }),
	'input_audio_buffer.speech_started': ({ audio_start_ms: at_ms }) => ({ type: 'stt.speech_started', at_ms }),
	'input_audio_buffer.speech_stopped': ({ audio_end_ms: at_ms }) => ({ type: 'stt.speech_stopped', at_ms }),
	'conversation.item.input_audio_transcription.completed': ({ transcript: text = '' }) => ({ type: 'stt.final', text }),
	'conversation.item.create': ({ item }) => ({ type: 'channel.open', kind: 'turn', params: { text: item?.content?.[0]?.text } }),
	'response.content_part.added': ({ part }) => part?.type === 'audio' && { type: 'tts.started' },
	'response.output_audio.delta': () => ({ type: 'tts.audio' }),
	'response.output_text.delta': reply,
	'response.output_audio_transcript.delta': reply,
	'response.done': ({ response }) => ({ type: 'turn.done', status: response?.status_details?.reason === 'turn_detected' ? 'interrupted' : response?.status === 'completed' ? 'ok' : String(response?.status) }),
	error: ({ error }) => ({ type: 'error', code: error?.code ?? error?.type, message: error?.message }),
};

/** Undefined or false: nothing. A response is a turn. */
export function asNative(message) {
	const said = SAYS[message.type]?.(message);
	return said && { turn_id: message.response_id ?? message.response?.id, ...said };
}
