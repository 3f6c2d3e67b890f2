// How the files of test/engine run where the tenants of every service are spread
// over buckets. A file that is named nowhere runs with three buckets.

/** They run with one bucket, and why: SQL that a test writes cannot be sent to several. */
export const inOneBucket: Readonly<Record<string, string>> = {};

/** They run without buckets alone, and why. */
export const withoutBuckets: Readonly<Record<string, string>> = {
	buckets: "it states the number of buckets itself",
	"buckets-placement": "it states the number of buckets itself",
};

/** Those that `npm run proofs` runs with three buckets: every public call, in about three minutes. */
export const bucketedProofs: readonly string[] = [
	"find-page",
	"mcp",
	"query",
	"repository",
	"scope",
	"studio",
	"transaction-handle",
	"update",
];
