// The filter language of the Wire view; the title of its field explains it. Pure.

/** A repeated group that repeats or chooses: time can grow as 2^n. */
const ENDLESS = /\([^)]*[*+{|][^)]*\)+[*+{]/;
const TERM = /(-?)(?:(type|channel|way):(\S+)|\/((?:[^/\\]|\\.)+)\/|(\S+))/g;

/** A test of records; its `types`: those asked for by name. Throws a SyntaxError for a bad regular expression. */
export function compiled(words) {
	const terms = [...words.matchAll(TERM)];
	const tests = terms.map(([, not, key, value, pattern, word]) => {
		if (ENDLESS.test(pattern)) throw new SyntaxError('This could take for ever: a repeated group that repeats or chooses');
		const test = key ? byKey(key, value.toLowerCase()) : byText(pattern ? new RegExp(pattern, 'i') : word.toLowerCase());
		return not ? (record, text) => !test(record, text) : test;
	});
	const passes = (record) => {
		const text = () => (record.words ??= `${record.type} ${record.message ? JSON.stringify(record.message) : ''}`);
		return tests.every((test) => test(record, text));
	};
	return Object.assign(passes, { types: terms.filter(([, not, key]) => !not && key === 'type').map(([, , , value]) => value.toLowerCase()) });
}

function byKey(key, value) {
	if (key === 'type') return (record) => record.type.startsWith(value);
	return key === 'way' ? (record) => record.direction === value : (record) => String(record.channel ?? '') === value;
}

function byText(wanted) {
	return wanted instanceof RegExp ? (_record, text) => wanted.test(text()) : (_record, text) => text().toLowerCase().includes(wanted);
}
