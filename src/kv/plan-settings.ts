/**
 * Settings of a transaction whose statements walk a table and the cache side by
 * side, in order of id. Each of them is a walk along an index and a look into
 * another one; these settings leave the planner no other plan. By its statistics
 * it would choose: they do not know a type that has just been filled, renamed or
 * given a cache, and one nested loop over 20,000 rows then took 74 s.
 */
export const orderedWalk = {
	enable_seqscan: "off",
	enable_bitmapscan: "off",
	enable_sort: "off",
	enable_incremental_sort: "off",
	enable_material: "off",
} as const;
