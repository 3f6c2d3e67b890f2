const wholeNumber = new Intl.NumberFormat("en-GB");

/** `12,345`; `—` where there is none. */
export function count(value: number | undefined | null): string {
	return value === undefined || value === null
		? "—"
		: wholeNumber.format(value);
}

/** `1 row`, `2 rows`. */
export function counted(value: number, one: string, many = `${one}s`): string {
	return `${count(value)} ${value === 1 ? one : many}`;
}

/** Four significant places of a score or similarity. */
export function score(value: number | undefined | null): string {
	return value === undefined || value === null ? "—" : value.toFixed(4);
}

export function percent(share: number): string {
	return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** `0.4 ms`, `12 ms`, `3.2 s`, `4 min`. */
export function duration(ms: number | undefined | null): string {
	if (ms === undefined || ms === null) return "—";
	if (ms < 10) return `${ms.toFixed(1)} ms`;
	if (ms < 1_000) return `${Math.round(ms)} ms`;
	const seconds = ms / 1_000;
	if (seconds < 60) return `${seconds.toFixed(1)} s`;
	const minutes = seconds / 60;
	if (minutes < 60) return `${Math.round(minutes)} min`;
	const hours = minutes / 60;
	return hours < 48 ? `${hours.toFixed(1)} h` : `${Math.round(hours / 24)} d`;
}

const localTime = new Intl.DateTimeFormat(undefined, {
	year: "numeric",
	month: "short",
	day: "2-digit",
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	hourCycle: "h23",
});

export function timeOf(value: string | number | Date): {
	readonly local: string;
	readonly utc: string;
} {
	const date = new Date(value);
	if (Number.isNaN(date.getTime()))
		return { local: String(value), utc: String(value) };
	const iso = date.toISOString();
	return {
		local: localTime.format(date),
		utc: `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`,
	};
}

/** On one line, at most so many characters. */
export function excerpt(text: string, characters = 160): string {
	const line = text.replace(/\s+/g, " ").trim();
	const points = [...line.slice(0, 2 * characters)];
	return points.length > characters
		? `${points.slice(0, characters - 1).join("")}…`
		: line;
}
