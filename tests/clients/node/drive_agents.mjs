// @openai/agents, unmodified: a typed turn, a spoken one, an interruption, an error. Prints one line of JSON with what came of each.
// node drive_agents.mjs WS_BASE TOKEN PCM
import fs from "node:fs";
import { RealtimeAgent, RealtimeSession } from "@openai/agents/realtime";

const [base, token, pcmPath] = process.argv.slice(2);
const session = new RealtimeSession(new RealtimeAgent({ name: "Jarvis", instructions: "be brief" }), {
  transport: "websocket",
  model: "gpt-realtime",
});
const errors = [];
let audioBytes = 0;
session.on("error", ({ error }) => errors.push(error?.error?.code ?? error?.code ?? String(error)));
session.on("audio", ({ data }) => (audioBytes += data.byteLength));

function until(kind) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${kind}; errors: ${errors}`)), 25000);
    const seen = (event) => {
      if (event.type !== kind) return;
      clearTimeout(timer);
      session.off("transport_event", seen);
      resolve(event);
    };
    session.on("transport_event", seen);
  });
}

const text = ({ response }) => response.output[0].content[0].transcript ?? response.output[0].content[0].text;

await session.connect({ apiKey: token, url: `${base}/realtime?model=gpt-realtime` });
let done = until("response.done");
session.sendMessage("help");
const typed = text(await done);
const heard = audioBytes;
const pcm = fs.readFileSync(pcmPath);
done = until("response.done");
for (let at = 0; at < pcm.length; at += 4800) {
  const piece = pcm.subarray(at, at + 4800);
  session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
}
const spoken = text(await done);
const sounding = until("response.output_audio.delta");
done = until("response.done");
session.sendMessage("what can you do?");
await sounding;
session.interrupt();
const cut = (await done).response.status;
const refused = until("error");
session.transport.sendEvent({ type: "conversation.item.truncate", item_id: "nobody", content_index: 0, audio_end_ms: 1 });
await refused;
done = until("response.done");
session.sendMessage("help");
const after = text(await done);
console.log(JSON.stringify({ typed, heard, spoken, cut, after, errors }));
session.close();
process.exit(0);
