import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, JsonNumber } from "../../src/index.ts";
import { filterFromJson } from "../../src/models/json-fields.ts";

const Reading = defineEntity("readings", {
	counter: z.bigint(),
	at: z.date(),
	label: z.string(),
});

test("a filter of JSON gets the values that the fields compare with", () => {
	expect(
		filterFromJson(Reading, {
			at: { gte: "2026-03-01" },
			label: "2026-03-01",
			NOT: [{ at: { in: ["2026-03-01T12:00:00+02:00"] } }],
		}),
	).toEqual({
		at: { gte: new Date("2026-03-01T00:00:00Z") },
		label: "2026-03-01",
		NOT: [{ at: { in: [new Date("2026-03-01T10:00:00Z")] } }],
	});
});

test("a whole number of JSON that JavaScript cannot represent is one value, not an object of operators", () => {
	const most = new JsonNumber("9223372036854775807");
	expect(
		filterFromJson(Reading, { counter: most, OR: [{ counter: { lt: most } }] }),
	).toEqual({
		counter: 9223372036854775807n,
		OR: [{ counter: { lt: 9223372036854775807n } }],
	});
});
