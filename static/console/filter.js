// The language of the Wire's filter. Pure.
//
//     time -ping            has the word `time`, and not `ping`
//     type:turn -type:tts   messages whose type begins with `turn`, and not those of `tts`
//     channel:3             of that channel
//     /got? it/             a regular expression; it may hold spaces

const TERM = /(-?)(?:(type|channel):(\S+)|\/((?:[^/\\]|\\.)+)\/|(\S+))/g;

/**
 * @param {string} words
 * @returns {(record: import('./trace.js').WireRecord) => boolean} Throws a SyntaxError for a regular expression that is none.
 */
export function compiled(words) {
  const tests = [...words.matchAll(TERM)].map(([, not, key, value, pattern, word]) => {
    const test = key ? byKey(key, value.toLowerCase()) : byText(pattern ? new RegExp(pattern, 'i') : word.toLowerCase());
    return not ? (record, text) => !test(record, text) : test;
  });
  return (record) => {
    /** @type {string | undefined} */ let known;
    const text = () => (known ??= `${record.type} ${record.message ? JSON.stringify(record.message) : ''}`);
    return tests.every((test) => test(record, text));
  };
}

function byKey(key, value) {
  return key === 'type' ? (record) => record.type.startsWith(value) : (record) => String(record.channel ?? '') === value;
}

function byText(wanted) {
  return wanted instanceof RegExp ? (_record, text) => wanted.test(text()) : (_record, text) => text().toLowerCase().includes(wanted);
}

/** Does it ask for a type by name? Then what is usually left out is shown. @param {string} words @param {string} type */
export const names = (words, type) => [...words.matchAll(TERM)].some(([, not, key, value]) => !not && key === 'type' && type.startsWith(value.toLowerCase()));
