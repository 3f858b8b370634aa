// Prometheus' text format, as far as the console needs it. Pure.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function parse(document) {
	const found = new Map();
	for (const line of document.split('\n')) {
		const match = line.startsWith('#') ? null : LINE.exec(line);
		if (!match) continue;
		const [, name, written = '', value] = match;
		const labels = Object.fromEntries([...written.matchAll(LABEL)].map(([, key, text]) => [key, text.replace(/\\(.)/g, '$1')]));
		const samples = found.get(name) ?? [];
		samples.push({ labels, value: value === '+Inf' ? Infinity : Number(value) });
		found.set(name, samples);
	}
	return found;
}

export const sum = (metrics, name) => (metrics.get(name) ?? []).reduce((total, { value }) => total + value, 0);

/** Of a metric, grouped by some labels: `labels`, `count`, `quantile(share)`. */
export function histograms(metrics, name, by) {
	const groups = new Map();
	for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
		const names = by.map((key) => labels[key] ?? '');
		const key = names.join('\0');
		const group = groups.get(key) ?? { labels: names, buckets: new Map() };
		groups.set(key, group);
		const edge = labels.le === '+Inf' ? Infinity : Number(labels.le);
		group.buckets.set(edge, (group.buckets.get(edge) ?? 0) + value);
	}
	return [...groups.values()].map(({ labels, buckets }) => {
		const edges = [...buckets].sort(([a], [b]) => a - b);
		return { labels, count: edges.at(-1)?.[1] ?? 0, quantile: (share) => quantile(edges, share) };
	});
}

/** Linear inside the bucket, like histogram_quantile. */
function quantile(edges, share) {
	const total = edges.at(-1)?.[1] ?? 0;
	if (total === 0) return null;
	const rank = share * total;
	let [below, counted] = [0, 0];
	for (const [edge, upTo] of edges) {
		if (upTo >= rank) return edge === Infinity ? below : below + ((edge - below) * (rank - counted)) / Math.max(1, upTo - counted);
		[below, counted] = [edge, upTo];
	}
	return below;
}
