// Messages to send by hand.

/** @type {[string, object][]} */
export const TEMPLATES = [
  ['call agent.intent', { type: 'call', op: 'agent.intent', params: { text: 'what time is it' } }],
  ['call memory.search', { type: 'call', op: 'memory.search', params: { query: 'colour' } }],
  ['call ws.stats', { type: 'call', op: 'ws.stats', params: {} }],
  ['open turn, text', { type: 'channel.open', kind: 'turn', params: { text: 'what time is it' } }],
  ['open tts', { type: 'channel.open', kind: 'tts', params: { text: 'It is noon.', speed: 1.25 } }],
  ['open execute, os', { type: 'channel.open', kind: 'execute', params: { executor: 'os', action: 'ls', parameters: { args: ['-1'] } } }],
  ['open execute, search', { type: 'channel.open', kind: 'execute', params: { executor: 'search', action: 'search', parameters: { query: 'python tutorials' } } }],
  ['open execute, browser', { type: 'channel.open', kind: 'execute', params: { executor: 'browser', action: 'navigate', parameters: { url: 'https://example.com' } } }],
  ['open observe', { type: 'channel.open', kind: 'observe', params: { session_id: 'kitchen', audio: false } }],
  ['channel.end', { type: 'channel.end', channel: 1 }],
  ['channel.cancel', { type: 'channel.cancel', channel: 1 }],
  ['commit', { type: 'commit', channel: 1 }],
  ['credit', { type: 'credit', channel: 1, bytes: 65536 }],
  ['task.confirm', { type: 'task.confirm', confirmation_id: '', approve: true }],
  ['ping', { type: 'ping', t: 0 }],
  ['something unknown', { type: 'no.such.type' }],
];
