// Generated from the messages in streaming/protocol: python -m server.documents.typescript. Do not edit.

/** One task of an executor. */
export interface ExecuteParams {
  /** The executor that runs it. */
  executor: "browser" | "os" | "search";
  /** The executor's name of the action. */
  action: string;
  /** The action's parameters, by the executor's schema. */
  parameters?: Record<string, any>;
  /** Stop the task after this time; omitted: the executor's own limit. */
  timeout_ms?: number;
}

/** A read-only copy of another session. */
export interface ObserveParams {
  /** The session to observe. */
  session_id: string;
  /** Copy its audio too, in both directions. */
  audio?: boolean;
}

/** A microphone to transcribe. */
export interface SttParams {
  /** BCP 47 tag of the spoken language. */
  language?: string;
  /** Encoding of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet per frame. Mono. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of the client's frames, in Hz. */
  sample_rate?: number;
  /** Send `stt.partial` while an utterance is being spoken. */
  interim?: boolean;
  /** End utterances at pauses. False: push-to-talk, ended by `commit` or `channel.end`. */
  endpointing?: boolean;
  /** Words and phrases that are likely to occur. */
  vocabulary?: (string)[];
}

/** Text to speak. */
export interface TtsParams {
  /** The whole text; omitted if it comes in pieces by `tts.text`, ended by `channel.end`. */
  text?: string;
  /** BCP 47 tag; empty: the voice's language. */
  language?: string;
  /** Id of a voice; empty: the service's default. */
  voice?: string;
  /** 1 is the voice's natural speed. */
  speed?: number;
  /** Encoding of the frames to the client. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of the frames to the client, in Hz; omitted: the voice's own. */
  sample_rate?: number;
}

/** The whole agent: speech (or one text) in, speech or text out. */
export interface TurnParams {
  /** BCP 47 tag of the spoken language. */
  language?: string;
  /** Encoding of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet per frame. Mono. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of the client's frames, in Hz. */
  sample_rate?: number;
  /** Send `stt.partial` while an utterance is being spoken. */
  interim?: boolean;
  /** End utterances at pauses. False: push-to-talk, ended by `commit` or `channel.end`. */
  endpointing?: boolean;
  /** Words and phrases that are likely to occur. */
  vocabulary?: (string)[];
  /** Instead of a microphone: one turn with this text, after which the channel closes. */
  text?: string;
  /** Spoken or only written answers. */
  reply?: "audio" | "text";
  /** Voice of the answers; empty: the service's default. */
  voice?: string;
  /** Speed of the answers; 1 is the voice's natural speed. */
  speed?: number;
  /** Encoding of the frames to the client. */
  reply_encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of the frames to the client, in Hz; omitted: the voice's own. */
  reply_sample_rate?: number;
  /** IANA name of the user's time zone, for answers about time; empty: the gateway's own. */
  time_zone?: string;
  /** Remove the reply's own sound from the microphone also if no `playback` is sent, as if it were played at once. Else by `playback` only. */
  echo_cancellation?: boolean;
  /** Hear nothing until this was said, and again when nobody has spoken for 8 s. Empty: hear everything. */
  wake_word?: "" | "hey_jarvis";
}

/** The safety verdict on one action. */
export interface ActionVerdict {
  /** Id of the step. */
  action_id: string;
  /** Whether it may run. */
  verdict: "allow" | "confirm" | "deny";
  /** low, medium or high. */
  risk: string;
  /** Text for people. */
  reasons: (string)[];
}

/** Audio formats that the gateway accepts and produces. */
export interface AudioFormats {
  /** Values for `encoding`. */
  encodings: ("pcm_s16le" | "mulaw" | "alaw" | "opus")[];
  /** Usual values for `sample_rate` in Hz; any rate between the lowest and the highest is accepted. */
  sample_rates: (number)[];
}

/** The token expires soon: send `auth.refresh`. */
export interface AuthExpiring {
  /** The type of the message. */
  type: "auth.expiring";
  /** When it expires, RFC 3339. */
  expires_at: string;
}

/** The new token was accepted. */
export interface AuthOk {
  /** The type of the message. */
  type: "auth.ok";
  /** Id of the command. */
  id?: string;
  /** When the token expires, RFC 3339. */
  expires_at?: string;
}

/** The last message of a channel. */
export interface ChannelClosed {
  /** The type of the message. */
  type: "channel.closed";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** How the channel ended. */
  status: "ok" | "cancelled" | "error";
  /** Code from the catalogue, if it ended with an error. */
  code?: string;
  /** Text for people. */
  message?: string;
}

/** The channel is open. */
export interface ChannelOpened {
  /** The type of the message. */
  type: "channel.opened";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Id of the `channel.open`. */
  id?: string;
  /** The requested kind. */
  kind: string;
  /** Bytes of audio that the client may send before it must wait; 0 if the channel takes none. */
  credit: number;
}

/** The client may send more audio. */
export interface Credit {
  /** The type of the message. */
  type: "credit";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Additional payload bytes. */
  bytes: number;
  /** Frames before this number were taken and need not be kept. */
  next_frame: number;
}

/** A command was refused, or something failed. The socket stays open. */
export interface Error {
  /** The type of the message. */
  type: "error";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about, if any. */
  channel?: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Id of the command that caused it, if it could be read. */
  id?: string;
  /** Code from the catalogue, in UPPER_SNAKE. */
  code: string;
  /** Text for people. */
  message: string;
  /** The same command may succeed later. */
  retryable: boolean;
  /** When to retry, if known. */
  retry_after_ms?: number;
  /** The other members of REST's problem document, in an `error` that answers a `call`. */
  details?: Record<string, any>;
}

/** An alternative intent. */
export interface IntentGuess {
  /** Name of the intent. */
  intent: string;
  /** 0 to 1. */
  confidence: number;
  /** Entities named in the text. */
  entities: Record<string, any>;
}

/** The next audio frames come from another channel of the observed session, or have another encoding. */
export interface ObserveAudio {
  /** The type of the message. */
  type: "observe.audio";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Which side sent the audio. */
  direction: "client" | "server";
  /** The channel in the observed session. */
  source_channel: number;
  /** Encoding of the frames. */
  encoding: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of the frames, in Hz. */
  sample_rate: number;
}

/** The observer was too slow; some events or audio are missing. */
export interface ObserveDropped {
  /** The type of the message. */
  type: "observe.dropped";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Number of missing events. */
  messages: number;
  /** Bytes of missing audio. */
  audio_bytes: number;
}

/** A message of the observed session. */
export interface ObserveEvent {
  /** The type of the message. */
  type: "observe.event";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Which side sent it. */
  direction: "client" | "server";
  /** The original message. */
  message: Record<string, any>;
}

/** One action of the plan. */
export interface PlanStep {
  /** The `step_id` of its task events. */
  id: string;
  /** The executor that runs it. */
  executor: string;
  /** The executor's name of the action. */
  action: string;
  /** The action's parameters; `${step.path}` refers to results of earlier steps. */
  parameters: Record<string, any>;
  /** Ids of steps that must finish first. */
  depends_on: (string)[];
  /** Text for people. */
  description: string;
}

/** Answers a `call`. */
export interface Result {
  /** The type of the message. */
  type: "result";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** Id of the `call`. */
  id: string;
  /** The operation's answer, as over REST. */
  data: any;
}

/** The client's commands up to `seq` were taken and need not be kept. */
export interface ServerAck {
  /** The type of the message. */
  type: "ack";
  /** The highest number taken. */
  seq: number;
}

/** Asks the client for a `pong`. */
export interface ServerPing {
  /** The type of the message. */
  type: "ping";
  /** Any number, echoed. */
  t: number;
}

/** Answers the client's `ping`. */
export interface ServerPong {
  /** The type of the message. */
  type: "pong";
  /** The number from the `ping`. */
  t: number;
  /** The gateway's clock, in milliseconds since 1970. */
  server_time: number;
}

/** This gateway is shutting down: reconnect and resume. */
export interface SessionDraining {
  /** The type of the message. */
  type: "session.draining";
  /** Time to wait before, so that not all clients reconnect at once. */
  reconnect_after_ms: number;
}

/** A new session begins; nothing of an earlier one is kept. */
export interface SessionReady {
  /** The type of the message. */
  type: "session.ready";
  /** From the address of the socket. */
  session_id: string;
  /** Name of this sequence of numbers; nothing is shared with another epoch. */
  epoch: string;
  /** Token that allows this session to be resumed. */
  resume_token: string;
  /** False: nothing was recovered (`session.resumed` has true). */
  recovered: false;
  /** Why the requested resume failed; absent if none was requested. */
  resume_error?: "NOT_FOUND" | "EXPIRED" | "INCOMPLETE";
  /** The session is being recorded to a file, as requested by `?record=true`; absent if not. */
  recording?: true;
  /** Name and version of the protocol. */
  protocol: "jarvis.v1";
  /** The session's user, from the token. */
  user: User;
  /** When the token expires, RFC 3339. */
  expires_at?: string;
  /** Silence after which either side may ask the other for a `pong`. */
  heartbeat_ms: number;
  /** How long the session waits for its client to reconnect. */
  resume_window_ms: number;
  /** Limits that the client should respect, by name. */
  limits: Record<string, number>;
  /** State of each service. */
  services: Record<string, "up" | "down">;
  /** What does the work, by service, if the service reports it: `{"tts": "hibari (heart)"}`. */
  engines?: Record<string, string>;
  /** Supported encodings and rates. */
  audio: AudioFormats;
}

/** Where the session can be resumed from now on, and by which token. */
export interface SessionResumable {
  /** The type of the message. */
  type: "session.resumable";
  /** here: on this replica only, because the store shared by replicas is out of reach. */
  where: "here" | "anywhere";
  /** Replaces the previous token. */
  resume_token: string;
}

/** The session was resumed: the missed messages follow, then new ones. */
export interface SessionResumed {
  /** The type of the message. */
  type: "session.resumed";
  /** The epoch, unchanged. */
  epoch: string;
  /** True: nothing is missing. */
  recovered: true;
  /** How many messages and frames are sent again. */
  replayed: number;
  /** The highest number of the client's commands that was taken. The client sends those after it again. */
  taken_seq: number;
  /** By open channel that takes audio: the number of the next expected frame. The client sends again from there. */
  channels: Record<string, number>;
}

/** A final transcript of one utterance. Empty if it had no words. */
export interface SttFinal {
  /** The type of the message. */
  type: "stt.final";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The whole utterance. */
  text: string;
  /** The recogniser's confidence, 0 to 1. */
  confidence: number;
  /** Start, since the microphone was opened. */
  start_ms: number;
  /** End, likewise. */
  end_ms: number;
  /** The utterance's words. */
  words: (Word)[];
}

/** An interim transcript: what was recognised so far. */
export interface SttPartial {
  /** The type of the message. */
  type: "stt.partial";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Transcript of the current utterance. */
  text: string;
  /** The number of characters at its beginning that will not change again. */
  stable_chars: number;
}

/** Speech has begun. */
export interface SttSpeechStarted {
  /** The type of the message. */
  type: "stt.speech_started";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Time since the microphone was opened. */
  at_ms: number;
}

/** The utterance ended; its `stt.final` follows. */
export interface SttSpeechStopped {
  /** The type of the message. */
  type: "stt.speech_stopped";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Time since the microphone was opened. */
  at_ms: number;
}

/** A risky action waits for `task.confirm`. */
export interface TaskConfirmationRequired {
  /** The type of the message. */
  type: "task.confirmation_required";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** The id to answer with. */
  confirmation_id: string;
  /** Why approval is needed, for people. */
  reason: string;
  /** low, medium or high. */
  risk: string;
  /** When it counts as declined, RFC 3339. */
  expires_at: string;
  /** The executor that would run the action. */
  executor?: string;
  /** The action. */
  action?: string;
  /** The action's parameters. An approval is valid for exactly these. */
  parameters?: Record<string, any>;
  /** Hash of executor, action and parameters, for `task.confirm`. */
  action_hash?: string;
  /** The question as a sentence; it is spoken if the reply is audio. */
  sentence?: string;
}

/** Progress of a task. For a slow client, only the latest is sent; output is joined, never lost. */
export interface TaskProgress {
  /** The type of the message. */
  type: "task.progress";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** Share done, if the executor knows it. */
  percent?: number;
  /** Text for people. */
  message: string;
  /** The stream that `data` comes from. */
  stream?: "stdout" | "stderr";
  /** Output of the task. */
  data?: string;
}

/** The last event of a task. */
export interface TaskResult {
  /** The type of the message. */
  type: "task.result";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** How the task ended. */
  status: "ok" | "failed" | "denied" | "declined" | "cancelled" | "timeout" | "skipped";
  /** The executor's result. */
  result: Record<string, any>;
  /** Why the task did not succeed, for people. */
  message?: string;
}

/** An executor starts a task. */
export interface TaskStarted {
  /** The type of the message. */
  type: "task.started";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** The task's id, as in audit log and traces. */
  task_id: string;
}

/** The whole utterance was sent. */
export interface TtsDone {
  /** The type of the message. */
  type: "tts.done";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Duration of its audio. */
  duration_ms: number;
}

/** An utterance begins. */
export interface TtsStarted {
  /** The type of the message. */
  type: "tts.started";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Encoding of its frames. */
  encoding: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Sample rate of its frames, in Hz. */
  sample_rate: number;
  /** Generation of its frames. */
  generation: number;
}

/** The positions of words in the utterance. */
export interface TtsWords {
  /** The type of the message. */
  type: "tts.words";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The words as written, in order. */
  words: (Word)[];
}

/** The sound was no speech: the reply continues. */
export interface TurnContinued {
  /** The type of the message. */
  type: "turn.continued";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Generation of the audio that follows. */
  generation: number;
  /** Position at which the reply continues. */
  from_ms: number;
}

/** The last event of a turn. */
export interface TurnDone {
  /** The type of the message. */
  type: "turn.done";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** How the turn ended. */
  status: "ok" | "interrupted" | "cancelled" | "failed";
}

/** The speaker has probably finished. Work without effects begins. */
export interface TurnEagerEnd {
  /** The type of the message. */
  type: "turn.eager_end";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Time since the microphone was opened. */
  at_ms: number;
  /** The text that is acted on provisionally. */
  text: string;
}

/** The speaker has definitely finished. */
export interface TurnEnd {
  /** The type of the message. */
  type: "turn.end";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Time since the microphone was opened. */
  at_ms: number;
}

/** The recognised intent. */
export interface TurnIntent {
  /** The type of the message. */
  type: "turn.intent";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Name of the intent; `unknown` if none fits. */
  intent: string;
  /** 0 to 1. */
  confidence: number;
  /** Entities named in the text. */
  entities: Record<string, any>;
  /** Other possible intents. */
  alternatives: (IntentGuess)[];
}

/** The user interrupted the reply. Audio of generations before `generation` is stale and must not be played. */
export interface TurnInterrupted {
  /** The type of the message. */
  type: "turn.interrupted";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Generation of the next audio. */
  generation: number;
  /** How much of the utterance was played. */
  heard_ms: number;
  /** The words that were heard, which is what is remembered. */
  heard_text: string;
}

/** When each stage of the turn was done. */
export interface TurnLatency {
  /** The type of the message. */
  type: "turn.latency";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Milliseconds since the end of speech, by stage. */
  stages: Record<string, number>;
}

/** There was a sound during the reply, which pauses until it is clear whether words follow. Audio before `generation` is stale. */
export interface TurnPaused {
  /** The type of the message. */
  type: "turn.paused";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Generation of the next audio. */
  generation: number;
  /** How much of the utterance was played. */
  heard_ms: number;
}

/** The plan of what will be done. */
export interface TurnPlan {
  /** The type of the message. */
  type: "turn.plan";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The plan's id. */
  plan_id: string;
  /** Text for people. */
  goal: string;
  /** The steps, ordered only by `depends_on`. */
  steps: (PlanStep)[];
}

/** Text of the answer. It is then spoken if audio was requested. */
export interface TurnReply {
  /** The type of the message. */
  type: "turn.reply";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The whole answer, or its next part. */
  text: string;
  /** True while a language model is still writing: further parts follow, unless interrupted. Joined, the parts are the reply. */
  more?: boolean;
}

/** The speaker continued after all. The provisional work is discarded. */
export interface TurnResumed {
  /** The type of the message. */
  type: "turn.resumed";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** Time since the microphone was opened. */
  at_ms: number;
}

/** The safety verdict on the plan. */
export interface TurnSafety {
  /** The type of the message. */
  type: "turn.safety";
  /** Number in the session's sequence, shared with the audio frames. Assigned when the message is sent. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, if any. */
  turn_id?: string;
  /** The strictest verdict of all steps. */
  verdict: "allow" | "confirm" | "deny";
  /** low, medium or high. */
  risk: string;
  /** Text for people. */
  reasons: (string)[];
  /** The verdict on each step. */
  actions: (ActionVerdict)[];
}

/** The session's user. */
export interface User {
  /** The token's subject. */
  user_id: string;
  /** The user's name, if the token has one. */
  username?: string;
  /** The user's roles. */
  roles: (string)[];
}

/** A word and its position in time. */
export interface Word {
  /** The word as written. */
  text: string;
  /** Start, since the microphone was opened or the utterance began. */
  start_ms: number;
  /** End, likewise. */
  end_ms: number;
  /** The recogniser's confidence, 0 to 1. */
  confidence?: number;
}

/** What each kind of channel is opened with. */
export interface ParamsOf {
  stt: SttParams;
  tts: TtsParams;
  execute: ExecuteParams;
  turn: TurnParams;
  observe: ObserveParams;
}

/** Every message of the server, by its type. */
export interface ServerMessages {
  "session.ready": SessionReady;
  "session.resumed": SessionResumed;
  "ack": ServerAck;
  "ping": ServerPing;
  "pong": ServerPong;
  "auth.ok": AuthOk;
  "auth.expiring": AuthExpiring;
  "session.draining": SessionDraining;
  "session.resumable": SessionResumable;
  "error": Error;
  "result": Result;
  "channel.opened": ChannelOpened;
  "credit": Credit;
  "channel.closed": ChannelClosed;
  "stt.speech_started": SttSpeechStarted;
  "stt.partial": SttPartial;
  "stt.final": SttFinal;
  "stt.speech_stopped": SttSpeechStopped;
  "tts.started": TtsStarted;
  "tts.words": TtsWords;
  "tts.done": TtsDone;
  "task.started": TaskStarted;
  "task.progress": TaskProgress;
  "task.confirmation_required": TaskConfirmationRequired;
  "task.result": TaskResult;
  "turn.intent": TurnIntent;
  "turn.plan": TurnPlan;
  "turn.safety": TurnSafety;
  "turn.reply": TurnReply;
  "turn.eager_end": TurnEagerEnd;
  "turn.resumed": TurnResumed;
  "turn.end": TurnEnd;
  "turn.interrupted": TurnInterrupted;
  "turn.paused": TurnPaused;
  "turn.continued": TurnContinued;
  "turn.latency": TurnLatency;
  "turn.done": TurnDone;
  "observe.event": ObserveEvent;
  "observe.audio": ObserveAudio;
  "observe.dropped": ObserveDropped;
}

export type ServerMessage = ServerMessages[keyof ServerMessages];
