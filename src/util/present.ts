// Look-ups whose result is known to exist, or whose absence is a bug of ours.

export function elementAt<T>(items: readonly T[], index: number): T {
	const item = items[index];
	if (item === undefined && !(index in items))
		throw new RangeError(`no element ${index} of ${items.length}`);
	return item as T;
}

export function valueAt<K, V>(map: ReadonlyMap<K, V>, key: K): V {
	const value = map.get(key);
	if (value === undefined && !map.has(key))
		throw new RangeError("no value for a key");
	return value as V;
}

/** The names of an object that has no others than its type states. */
export function keysOf<T extends object>(object: T): (keyof T & string)[] {
	return Object.keys(object) as (keyof T & string)[];
}

/** The members of a value of which nothing is known; none of what is not an object. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
	return isObject(value) ? value : {};
}

/** An object of any kind, a list too. */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}
