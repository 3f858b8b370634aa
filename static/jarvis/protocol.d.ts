// Generated from the messages in streaming/protocol: python -m server.documents.typescript. Do not edit.

/** One task of an executor. */
export interface ExecuteParams {
  /** Who does it. */
  executor: "browser" | "os" | "search";
  /** What, by the executor's own name for it. */
  action: string;
  /** With what, as the executor's schema of the action says. */
  parameters?: Record<string, any>;
  /** Stop it after so long; left out: the executor's own limit. */
  timeout_ms?: number;
}

/** A read-only copy of another session. */
export interface ObserveParams {
  /** Whose. */
  session_id: string;
  /** Its audio too, both directions. */
  audio?: boolean;
}

/** A microphone, transcribed. */
export interface SttParams {
  /** BCP 47 tag of the language spoken. */
  language?: string;
  /** Of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet a frame. Mono. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of the client's frames, in Hz. */
  sample_rate?: number;
  /** Send `stt.partial` while an utterance is spoken. */
  interim?: boolean;
  /** Find the end of an utterance by its pauses; false: push-to-talk, ended by `commit` or `channel.end`. */
  endpointing?: boolean;
  /** Words and phrases that are likely. */
  vocabulary?: (string)[];
}

/** Text, spoken. */
export interface TtsParams {
  /** All that is to be said; left out when it comes in pieces by `tts.text`, ended by `channel.end`. */
  text?: string;
  /** BCP 47 tag; empty: that of the voice. */
  language?: string;
  /** A voice's id; empty: the service's own choice. */
  voice?: string;
  /** 1 is the voice's own speed. */
  speed?: number;
  /** Of the frames to the client. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of the frames to the client, in Hz; left out: the voice's own. */
  sample_rate?: number;
}

/** The whole agent: speech (or one text) in, speech or text out. */
export interface TurnParams {
  /** BCP 47 tag of the language spoken. */
  language?: string;
  /** Of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet a frame. Mono. */
  encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of the client's frames, in Hz. */
  sample_rate?: number;
  /** Send `stt.partial` while an utterance is spoken. */
  interim?: boolean;
  /** Find the end of an utterance by its pauses; false: push-to-talk, ended by `commit` or `channel.end`. */
  endpointing?: boolean;
  /** Words and phrases that are likely. */
  vocabulary?: (string)[];
  /** Instead of a microphone: one turn about this text, then the channel closes. */
  text?: string;
  /** Spoken answers, or only written ones. */
  reply?: "audio" | "text";
  /** The voice of the answers; empty: the service's own choice. */
  voice?: string;
  /** Of the answers; 1 is the voice's own. */
  speed?: number;
  /** Of the frames to the client. */
  reply_encoding?: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of the frames to the client, in Hz; left out: the voice's own. */
  reply_sample_rate?: number;
  /** IANA name of where the user is, for answers about time; empty: the gateway's own. */
  time_zone?: string;
  /** Take the reply's own sound out of the microphone: for clients that cannot, and report `playback`. */
  echo_cancellation?: boolean;
}

/** What safety says to one action. */
export interface ActionVerdict {
  /** The step. */
  action_id: string;
  /** May it be done? */
  verdict: "allow" | "confirm" | "deny";
  /** low, medium or high. */
  risk: string;
  /** For people. */
  reasons: (string)[];
}

/** What the gateway takes and makes. */
export interface AudioFormats {
  /** Names for `encoding`. */
  encodings: ("pcm_s16le" | "mulaw" | "alaw" | "opus")[];
  /** Usual values for `sample_rate` in Hz; any from the lowest to the highest is taken. */
  sample_rates: (number)[];
}

/** The token expires soon: send `auth.refresh`. */
export interface AuthExpiring {
  /** What it is. */
  type: "auth.expiring";
  /** When, RFC 3339. */
  expires_at: string;
}

/** The token was taken. */
export interface AuthOk {
  /** What it is. */
  type: "auth.ok";
  /** Of the command. */
  id?: string;
  /** When it expires, RFC 3339. */
  expires_at?: string;
}

/** The channel's last message. */
export interface ChannelClosed {
  /** What it is. */
  type: "channel.closed";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** How it ended. */
  status: "ok" | "cancelled" | "error";
  /** From the catalogue, when it ended with an error. */
  code?: string;
  /** For people. */
  message?: string;
}

/** The channel is open. */
export interface ChannelOpened {
  /** What it is. */
  type: "channel.opened";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Of the `channel.open`. */
  id?: string;
  /** As asked for. */
  kind: string;
  /** Bytes of audio the client may send before it must wait; 0 where the channel takes none. */
  credit: number;
}

/** The client may send more audio. */
export interface Credit {
  /** What it is. */
  type: "credit";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** So many more payload bytes. */
  bytes: number;
  /** Frames before this number were taken and need not be kept. */
  next_frame: number;
}

/** A command was refused, or something failed; the socket stays. */
export interface Error {
  /** What it is. */
  type: "error";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about, if any. */
  channel?: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of the command that caused it, where it could be read. */
  id?: string;
  /** From the catalogue, UPPER_SNAKE. */
  code: string;
  /** For people. */
  message: string;
  /** The same command may succeed later. */
  retryable: boolean;
  /** How much later, where that is known. */
  retry_after_ms?: number;
  /** What REST's problem document has beside these, for an `error` that answers a `call`. */
  details?: Record<string, any>;
}

/** Another way to understand it. */
export interface IntentGuess {
  /** Name of the intent. */
  intent: string;
  /** 0 to 1. */
  confidence: number;
  /** What was named. */
  entities: Record<string, any>;
}

/** The audio frames that follow come from another channel of the observed session, or are encoded otherwise. */
export interface ObserveAudio {
  /** What it is. */
  type: "observe.audio";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Who speaks. */
  direction: "client" | "server";
  /** The channel over there. */
  source_channel: number;
  /** Of the frames. */
  encoding: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of the frames, in Hz. */
  sample_rate: number;
}

/** The observer was too slow, and this much is missing. */
export interface ObserveDropped {
  /** What it is. */
  type: "observe.dropped";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Events left out. */
  messages: number;
  /** Audio left out. */
  audio_bytes: number;
}

/** A message of the observed session. */
export interface ObserveEvent {
  /** What it is. */
  type: "observe.event";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** Who sent it. */
  direction: "client" | "server";
  /** As it was. */
  message: Record<string, any>;
}

/** One action of the plan. */
export interface PlanStep {
  /** `step_id` of its task events. */
  id: string;
  /** Who does it. */
  executor: string;
  /** What. */
  action: string;
  /** With what; `${step.path}` refers to results of earlier steps. */
  parameters: Record<string, any>;
  /** Steps that come first. */
  depends_on: (string)[];
  /** For people. */
  description: string;
}

/** Answer to a `call`. */
export interface Result {
  /** What it is. */
  type: "result";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** Of the `call`. */
  id: string;
  /** What the operation answers over REST. */
  data: any;
}

/** The client's commands up to `seq` were taken and need not be kept. */
export interface ServerAck {
  /** What it is. */
  type: "ack";
  /** The highest number taken. */
  seq: number;
}

/** Are you there? */
export interface ServerPing {
  /** What it is. */
  type: "ping";
  /** Any number, to be echoed. */
  t: number;
}

/** Answer to the client's `ping`. */
export interface ServerPong {
  /** What it is. */
  type: "pong";
  /** The number from the `ping`. */
  t: number;
  /** The gateway's clock: milliseconds since 1970. */
  server_time: number;
}

/** This gateway is being stopped: come back and resume. */
export interface SessionDraining {
  /** What it is. */
  type: "session.draining";
  /** Wait so long, so that not everybody comes at once. */
  reconnect_after_ms: number;
}

/** A session begins, with nothing from before. */
export interface SessionReady {
  /** What it is. */
  type: "session.ready";
  /** From the address of the socket. */
  session_id: string;
  /** Names this run of numbers; another epoch shares nothing with it. */
  epoch: string;
  /** Proves the right to take this session up again. */
  resume_token: string;
  /** Nothing was carried over (`session.resumed` says true). */
  recovered: false;
  /** Why the resume that the client asked for failed; absent when it asked for none. */
  resume_error?: "NOT_FOUND" | "EXPIRED" | "INCOMPLETE";
  /** The session is written to a file, as the client asked by `?record=true`; absent when it is not. */
  recording?: true;
  /** Name and version of the protocol. */
  protocol: "jarvis.v1";
  /** Its user, as the token says. */
  user: User;
  /** When the token expires, RFC 3339. */
  expires_at?: string;
  /** Silence after which the other side may be asked for a `pong`. */
  heartbeat_ms: number;
  /** How long the session waits for its client to come back. */
  resume_window_ms: number;
  /** Bounds that the client should keep to, by name. */
  limits: Record<string, number>;
  /** Which services answer. */
  services: Record<string, "up" | "down">;
  /** What does the work, by service, where a service tells it: `{"tts": "hibari (heart)"}`. */
  engines?: Record<string, string>;
  /** Encodings and rates. */
  audio: AudioFormats;
}

/** Where the session can be resumed from now on, and with which token. */
export interface SessionResumable {
  /** What it is. */
  type: "session.resumable";
  /** here: at this replica only, as what replicas share is out of reach. */
  where: "here" | "anywhere";
  /** In place of the one before. */
  resume_token: string;
}

/** The session goes on: the missed messages follow, then what is new. */
export interface SessionResumed {
  /** What it is. */
  type: "session.resumed";
  /** As before. */
  epoch: string;
  /** Nothing is missing. */
  recovered: true;
  /** How many messages and frames are sent again. */
  replayed: number;
  /** The highest number of the client's commands that was taken; the client sends what is behind it. */
  taken_seq: number;
  /** Every open channel that takes audio: the number of the frame expected next. The client sends from there. */
  channels: Record<string, number>;
}

/** A final transcript: one utterance. Empty when it held no words. */
export interface SttFinal {
  /** What it is. */
  type: "stt.final";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The whole of it. */
  text: string;
  /** Of the recogniser, 0 to 1. */
  confidence: number;
  /** Since the microphone was opened. */
  start_ms: number;
  /** Likewise. */
  end_ms: number;
  /** Each of it. */
  words: (Word)[];
}

/** An interim transcript: what has been understood so far. */
export interface SttPartial {
  /** What it is. */
  type: "stt.partial";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of the utterance under way. */
  text: string;
  /** So many characters at its beginning never change again. */
  stable_chars: number;
}

/** Somebody began to speak. */
export interface SttSpeechStarted {
  /** What it is. */
  type: "stt.speech_started";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Since the microphone was opened. */
  at_ms: number;
}

/** The utterance ended; its `stt.final` follows. */
export interface SttSpeechStopped {
  /** What it is. */
  type: "stt.speech_stopped";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Since the microphone was opened. */
  at_ms: number;
}

/** A risky action waits for `task.confirm`. */
export interface TaskConfirmationRequired {
  /** What it is. */
  type: "task.confirmation_required";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** To be answered with. */
  confirmation_id: string;
  /** Why it asks, for people. */
  reason: string;
  /** low, medium or high. */
  risk: string;
  /** When it counts as declined, RFC 3339. */
  expires_at: string;
  /** Who would do it. */
  executor?: string;
  /** What would be done. */
  action?: string;
  /** With what. An approval is for exactly this. */
  parameters?: Record<string, any>;
  /** The question in words, as it is said aloud where the reply is audio. */
  sentence?: string;
}

/** How far it is. Merged to the latest when the client is slow; output is joined, never lost. */
export interface TaskProgress {
  /** What it is. */
  type: "task.progress";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** Where the executor knows. */
  percent?: number;
  /** For people. */
  message: string;
  /** Where `data` comes from. */
  stream?: "stdout" | "stderr";
  /** Output of the task. */
  data?: string;
}

/** The task's last event. */
export interface TaskResult {
  /** What it is. */
  type: "task.result";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** How it ended. */
  status: "ok" | "failed" | "denied" | "declined" | "cancelled" | "timeout" | "skipped";
  /** As the executor gave it. */
  result: Record<string, any>;
  /** Why it did not succeed, for people. */
  message?: string;
}

/** An executor begins. */
export interface TaskStarted {
  /** What it is. */
  type: "task.started";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The step of the turn's plan. */
  step_id?: string;
  /** Its name in audit log and traces. */
  task_id: string;
}

/** All of the utterance was sent. */
export interface TtsDone {
  /** What it is. */
  type: "tts.done";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of its audio. */
  duration_ms: number;
}

/** An utterance begins. */
export interface TtsStarted {
  /** What it is. */
  type: "tts.started";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of its frames. */
  encoding: "pcm_s16le" | "mulaw" | "alaw" | "opus";
  /** Of its frames, in Hz. */
  sample_rate: number;
  /** Of its frames. */
  generation: number;
}

/** Where words lie in the utterance. */
export interface TtsWords {
  /** What it is. */
  type: "tts.words";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** As written, in order. */
  words: (Word)[];
}

/** It was a cough: the reply goes on. */
export interface TurnContinued {
  /** What it is. */
  type: "turn.continued";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of the audio that follows. */
  generation: number;
  /** Behind so much of what was heard. */
  from_ms: number;
}

/** Last event of a turn. */
export interface TurnDone {
  /** What it is. */
  type: "turn.done";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** How it ended. */
  status: "ok" | "interrupted" | "cancelled" | "failed";
}

/** The speaker has probably finished: work begins that has no effects yet. */
export interface TurnEagerEnd {
  /** What it is. */
  type: "turn.eager_end";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Since the microphone was opened. */
  at_ms: number;
  /** What is acted on provisionally. */
  text: string;
}

/** The speaker has finished, for certain. */
export interface TurnEnd {
  /** What it is. */
  type: "turn.end";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Since the microphone was opened. */
  at_ms: number;
}

/** What was understood. */
export interface TurnIntent {
  /** What it is. */
  type: "turn.intent";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Name of the intent; `unknown` when nothing fits. */
  intent: string;
  /** 0 to 1. */
  confidence: number;
  /** What was named. */
  entities: Record<string, any>;
  /** Other ways to understand it. */
  alternatives: (IntentGuess)[];
}

/** The user spoke into the reply: audio of generations before `generation` is stale and not to be played. */
export interface TurnInterrupted {
  /** What it is. */
  type: "turn.interrupted";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of the next audio. */
  generation: number;
  /** How much of the utterance was played. */
  heard_ms: number;
  /** The words heard: what is remembered. */
  heard_text: string;
}

/** When each stage was done. */
export interface TurnLatency {
  /** What it is. */
  type: "turn.latency";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Milliseconds since the end of speech, by stage. */
  stages: Record<string, number>;
}

/** A sound during the reply: it pauses until it is clear whether words follow. Audio before `generation` is stale. */
export interface TurnPaused {
  /** What it is. */
  type: "turn.paused";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Of the next audio. */
  generation: number;
  /** How much of the utterance was played. */
  heard_ms: number;
}

/** What will be done. */
export interface TurnPlan {
  /** What it is. */
  type: "turn.plan";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Its name. */
  plan_id: string;
  /** For people. */
  goal: string;
  /** In no order but that of `depends_on`. */
  steps: (PlanStep)[];
}

/** The words of the answer; spoken next when audio was asked for. */
export interface TurnReply {
  /** What it is. */
  type: "turn.reply";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** All of it, or its next part. */
  text: string;
  /** A language model is still making the reply: further parts follow, unless it is interrupted. Joined, they are the reply. */
  more?: boolean;
}

/** The speaker went on after all: what was begun is withdrawn. */
export interface TurnResumed {
  /** What it is. */
  type: "turn.resumed";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** Since the microphone was opened. */
  at_ms: number;
}

/** Whether it may be done. */
export interface TurnSafety {
  /** What it is. */
  type: "turn.safety";
  /** Number in the session's sequence, shared with the audio frames. Given when the message leaves. */
  seq?: number;
  /** The channel it is about. */
  channel: number;
  /** The turn it belongs to, where there is one. */
  turn_id?: string;
  /** The strictest of all. */
  verdict: "allow" | "confirm" | "deny";
  /** low, medium or high. */
  risk: string;
  /** For people. */
  reasons: (string)[];
  /** Each step's. */
  actions: (ActionVerdict)[];
}

/** Whose session it is. */
export interface User {
  /** The token's subject. */
  user_id: string;
  /** Its name, where the token has one. */
  username?: string;
  /** What the user may do. */
  roles: (string)[];
}

/** A word and where it lies. */
export interface Word {
  /** As written. */
  text: string;
  /** Since the microphone was opened, or the utterance began. */
  start_ms: number;
  /** Likewise. */
  end_ms: number;
  /** Of the recogniser, 0 to 1. */
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
