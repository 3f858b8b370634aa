// Formats numbers and documents for people.

/** Of milliseconds. */
export function ms(value) {
	if (value === null || value === undefined || Number.isNaN(value)) return '–';
	if (Math.abs(value) < 0.05) return '0 ms';
	if (value < 0) return `-${ms(-value)}`;
	const seconds = Math.round(value / 1000);
	if (value >= 600_000) return `${Math.round(value / 60_000)} min`;
	if (value >= 59_950) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
	if (value >= 1_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
	return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

export function bytes(value) {
	if (value < 1024) return `${value} B`;
	if (value < 1024 * 1024) return `${(value / 1024).toFixed(value < 10_240 ? 1 : 0)} KiB`;
	return `${(value / 1024 / 1024).toFixed(value < 1e8 ? 1 : 0)} MiB`;
}

export const count = (value) => value.toLocaleString('en');

/** The same words? Recognisers vary capitals and punctuation. */
export const alike = (...texts) => new Set(texts.map((text) => text?.toLowerCase().split(/[\s.,;:!?"]+/).join(' ').trim())).size < 2;

export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** `1 session`, `2 sessions`. */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** Minutes, seconds and milliseconds. */
export function clockMs(value) {
	const whole = Math.max(0, Math.floor(value));
	return `${Math.floor(whole / 60_000)}:${String(Math.floor(whole / 1000) % 60).padStart(2, '0')}.${String(whole % 1000).padStart(3, '0')}`;
}

/** Minutes, seconds and tenths. */
export const clock = (value) => clockMs(value).slice(0, -2);

export const pretty = (value) => JSON.stringify(value, null, 2);

/** Quoted for a shell. */
export const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;

/** Below which this share of the values lies. */
export function percentile(values, share) {
	if (values.length === 0) return null;
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

export function toBase64(data) {
	let binary = '';
	for (let at = 0; at < data.length; at += 0x8000) binary += String.fromCharCode(...data.subarray(at, at + 0x8000));
	return btoa(binary);
}

export const fromBase64 = (encoded) => Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));

export function hexdump(data, most = 256) {
	const lines = [];
	for (let at = 0; at < Math.min(data.length, most); at += 16) {
		const row = [...data.subarray(at, at + 16)];
		const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
		lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(47)}  ${row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')}`);
	}
	if (data.length > most) lines.push(`…     ${data.length - most} more bytes`);
	return lines.join('\n');
}

export function download(name, blob) {
	const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name });
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
