import { randomUUID } from "node:crypto";

/**
 * A new UUID of version 7 (RFC 9562): milliseconds, then 74 random bits. Made
 * here, not by the database, so that a statement can tell its rows apart.
 */
export function uuidv7(now = Date.now()): string {
	const time = now.toString(16).padStart(12, "0");
	// What Node takes from its pool of random bytes, with the time in front.
	const random = randomUUID().slice(15);
	return `${time.slice(0, 8)}-${time.slice(8)}-7${random}`;
}

/** Whether PostgreSQL would take the text as a UUID in its usual form. */
export function isUuid(text: string): boolean {
	return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
