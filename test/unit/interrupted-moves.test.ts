import { expect, test } from "vitest";
import { findingsOf } from "../../src/doctor/interrupted-moves.ts";

const clean = { node: "10.0.0.6:5432", success: true, result: "[]" };

test("nodes without leftovers of a move are one line", () => {
	expect(findingsOf([clean, { ...clean, node: "10.0.0.7:5432" }])).toEqual([
		{ state: "ok", found: "none" },
	]);
});

test("a node with leftovers is named, with the statements that drop them", () => {
	const objects = [
		{ kind: "subscription", name: "citus_shard_move_subscription_10_7" },
		{ kind: "replication slot", name: "citus_shard_move_slot_2_10_7" },
		{ kind: "publication", name: "citus_shard_move_publication_2_10_7" },
	];
	const [finding, ...more] = findingsOf([
		clean,
		{ node: "10.0.0.7:5432", success: true, result: JSON.stringify(objects) },
	]);
	expect(more).toEqual([]);
	expect(finding?.state).toBe("warning");
	expect(finding?.found).toContain("10.0.0.7:5432");
	for (const { name } of objects) {
		expect(finding?.found).toContain(name);
		expect(finding?.remedy).toContain(name);
	}
	expect(finding?.remedy).toContain(
		"pg_drop_replication_slot('citus_shard_move_slot_2_10_7')",
	);
});

test("a node that does not answer is named", () => {
	const [finding] = findingsOf([
		{ node: "10.0.0.8:5432", success: false, result: "connection refused" },
		clean,
	]);
	expect(finding).toMatchObject({
		state: "warning",
		found: "10.0.0.8:5432 did not answer: connection refused",
	});
});
