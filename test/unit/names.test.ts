import { expect, test } from "vitest";
import { boundedName, embeddingsTableName } from "../../src/models/names.ts";

test("a short name stays as it is", () => {
	expect(boundedName("a".repeat(63))).toBe("a".repeat(63));
	expect(embeddingsTableName("resources")).toBe("embeddings_resources");
});

test("a long name is cut to 63 bytes, the same each time", () => {
	const long = "a".repeat(64);
	expect(Buffer.byteLength(boundedName(long))).toBe(63);
	expect(boundedName(long)).toBe(boundedName(long));
	expect(boundedName(long)).toMatch(/^a{54}_[0-9a-f]{8}$/);
});

test("long names that differ only at their end stay different", () => {
	expect(boundedName(`${"a".repeat(70)}1`)).not.toBe(
		boundedName(`${"a".repeat(70)}2`),
	);
	expect(embeddingsTableName("b".repeat(63))).not.toBe(
		embeddingsTableName(`${"b".repeat(62)}c`),
	);
});
