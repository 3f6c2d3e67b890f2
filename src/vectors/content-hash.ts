import { hash } from "node:crypto";

/** sha256 of a whole text: what tells whether its vector is still that of its content. */
export function contentHash(text: string): Buffer {
	return hash("sha256", text, "buffer");
}

/** Text without anything in it gets no vector. */
export function isEmbeddable(text: unknown): text is string {
	return typeof text === "string" && text.trim() !== "";
}
