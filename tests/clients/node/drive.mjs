// npm `openai`, unmodified: a typed turn, a spoken one, an interruption, an error. Prints one line of JSON with what came of each.
// node drive.mjs WSS_BASE TOKEN PCM   (NODE_TLS_REJECT_UNAUTHORIZED=0 for a certificate of the test's own)
import fs from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [base, token, pcmPath] = process.argv.slice(2);
const client = new OpenAI({ apiKey: token, baseURL: base });
const live = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
const errors = [];
live.on("error", (error) => errors.push(error.error?.code ?? error.message));

function until(kind) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${kind}; errors: ${errors}`)), 20000);
    const seen = (event) => {
      if (event.type !== kind) return;
      clearTimeout(timer);
      live.off("event", seen);
      resolve(event);
    };
    live.on("event", seen);
  });
}

function type(text, response) {
  const content = [{ type: "input_text", text }];
  live.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  live.send({ type: "response.create", response });
}

await until("session.created");
type("help", { output_modalities: ["text"] });
const typed = (await until("response.done")).response;
const pcm = fs.readFileSync(pcmPath);
for (let at = 0; at < pcm.length; at += 4800) {
  live.send({ type: "input_audio_buffer.append", audio: pcm.subarray(at, at + 4800).toString("base64") });
}
const spoken = (await until("response.done")).response;
type("what can you do?");
await until("response.output_audio.delta");
live.send({ type: "response.cancel" });
const cut = (await until("response.done")).response;
live.send({ type: "conversation.item.retrieve", item_id: "nobody" });
type("help", { output_modalities: ["text"] });
await until("response.done");
console.log(
  JSON.stringify({
    typed: typed.output[0].content[0].text,
    spoken: spoken.output[0].content[0].transcript,
    cut: cut.status,
    errors,
  }),
);
live.close();
