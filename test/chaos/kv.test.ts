import { expect, test } from "vitest";
import { crashUnderLoad } from "../../chaos/cases/kv-crashes.ts";

// Small: `npm run chaos` does the same as often as asked.
const options = { cycles: 8, failovers: 2, kills: 3, say: () => {} };

test("the cache never lies while a server crashes under load", async () => {
	const { figures, violations } = await crashUnderLoad(options);
	expect(violations).toEqual([]);
	expect(figures["acknowledged row changes"]).toBeGreaterThan(100);
	expect(figures["full comparisons while ready"]).toBeGreaterThan(0);
}, 300_000);
