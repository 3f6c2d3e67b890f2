import { expect, test } from "vitest";
import { isPlainName, toColumn } from "../../src/models/names.ts";

test.each([
	["name", "name"],
	["sizeBytes", "size_bytes"],
	["sourceURI", "source_uri"],
	["HTMLBody", "html_body"],
	["parseHTMLBody", "parse_html_body"],
	["chunk2Text", "chunk2_text"],
	["already_snake", "already_snake"],
	["x", "x"],
	["aB", "a_b"],
])("field %s is column %s", (field, column) => {
	expect(toColumn(field)).toBe(column);
});

test.each(["a", "_a", "order", "user", "select", "a1_", "x".repeat(63)])(
	"%s is a plain name",
	(name) => {
		expect(isPlainName(name)).toBe(true);
	},
);

test.each([
	"",
	"1a",
	"A",
	"a-b",
	"a b",
	'a"b',
	"é",
	"🙂",
	"a\n",
	"x".repeat(64),
	"ctid",
	"xmin",
	"tableoid",
	"__proto__",
])("%j is no plain name", (name) => {
	expect(isPlainName(name)).toBe(false);
});
