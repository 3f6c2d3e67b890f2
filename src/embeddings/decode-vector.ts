import { endianness } from "node:os";

const isBigEndian = endianness() === "BE";

/**
 * A vector as a server sends it, in base64 (of little-endian 32-bit floats) or
 * as an array of numbers. What is neither becomes an empty vector, a missing
 * number NaN: the check of the answer then says so, text by text.
 */
export function decodeVector(value: unknown): Float32Array {
	if (typeof value === "string") return fromBase64(value);
	if (!Array.isArray(value)) return new Float32Array(0);
	return Float32Array.from(value, (number: unknown) =>
		// null would become 0.
		typeof number === "number" ? number : Number.NaN,
	);
}

/** A hundred times faster than JSON numbers: 6 µs against 600 for 1,536 dimensions. */
function fromBase64(text: string): Float32Array {
	const bytes = Buffer.from(text, "base64");
	if (bytes.byteLength % 4 !== 0 || bytes.byteLength !== bytesOf(text))
		return new Float32Array(0);
	if (isBigEndian) bytes.swap32();
	const { buffer, byteOffset, byteLength } = bytes;
	if (byteOffset % 4 === 0)
		return new Float32Array(buffer, byteOffset, byteLength / 4);
	// A small buffer may lie anywhere in Node's pool.
	return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** How many bytes base64 stands for: what is not in its alphabet would be skipped in silence. */
function bytesOf(text: string): number {
	let end = text.length;
	while (text[end - 1] === "=") end--;
	const bytes = Math.floor((end * 3) / 4);
	// Some break its lines.
	return /\s/.test(text) ? bytesOf(text.replace(/\s+/g, "")) : bytes;
}
