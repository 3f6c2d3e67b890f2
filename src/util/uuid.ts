import { createHash, randomUUID } from "node:crypto";

/**
 * A new UUID of version 7 (RFC 9562): milliseconds, a count, 62 random bits. Made
 * here, not by the database, so that a statement can distinguish its rows.
 */
export function uuidv7(): string {
	advance(Date.now());
	const time = lastMs.toString(16).padStart(12, "0");
	const count = counter.toString(16).padStart(3, "0");
	// What Node takes from its pool of random bytes, behind the time and the count.
	const random = randomUUID().slice(18);
	return `${time.slice(0, 8)}-${time.slice(8)}-7${count}${random}`;
}

let lastMs = 0;
let counter = 0;

/** Ids of one process come in the order in which they were asked for, also within a millisecond. */
function advance(now: number): void {
	if (now > lastMs) {
		lastMs = now;
		counter = 0;
	} else if (++counter > 0xfff) {
		lastMs++;
		counter = 0;
	}
}

/**
 * A UUID that a UUID and a text always give. Of version 7 it has the other's time,
 * so that indexes have both in the same order; else it is of version 8.
 */
export function derivedUuid(id: string, text: string): string {
	const hash = createHash("sha256").update(`${id}\0${text}`).digest("hex");
	const isTimed = id[14] === "7";
	const head = isTimed
		? id.slice(0, 18)
		: `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(12, 15)}`;
	const variant = "89ab"[Number.parseInt(hash.slice(15, 16), 16) % 4];
	return `${head}-${variant}${hash.slice(16, 19)}-${hash.slice(19, 31)}`;
}

/** Whether PostgreSQL would take the text as a UUID in its usual form. */
export function isUuid(text: string): boolean {
	return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
