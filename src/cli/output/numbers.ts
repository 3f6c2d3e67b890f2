/** `2849` → `2,849`. */
export function count(value: number): string {
	return value.toLocaleString("en-US");
}

/** `1 row`, `2,849 rows`. */
export function counted(value: number, one: string, many = `${one}s`): string {
	return `${count(value)} ${value === 1 ? one : many}`;
}

/** `8.0 kB`, `12 MB`, `3.4 GB`. */
export function bytes(value: number): string {
	const units = ["kB", "MB", "GB", "TB"];
	let rest = value / 1024;
	while (rest >= 1000 && units.length > 1) {
		rest /= 1024;
		units.shift();
	}
	return `${rest < 10 ? rest.toFixed(1) : Math.round(rest)} ${units[0]}`;
}

/** `850 ms`, `6.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
	if (ms < 10) return `${ms.toFixed(1)} ms`;
	if (ms < 1000) return `${Math.round(ms)} ms`;
	const seconds = ms / 1000;
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	return longDuration(Math.round(seconds));
}

function longDuration(seconds: number): string {
	if (seconds < 60) return `${seconds} s`;
	const minutes = Math.floor(seconds / 60);
	if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
	return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
