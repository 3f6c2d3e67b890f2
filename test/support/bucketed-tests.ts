// How the files of test/engine run where the tenants of every service are spread
// over buckets. A file that is named nowhere runs with three buckets.

/** They run with one bucket, and why: SQL that a test writes cannot be sent to several. */
export const inOneBucket: Readonly<Record<string, string>> = {
	"bulk-load": "it changes the indexes of one schema",
	doctor: "it breaks one table, and expects one line for it",
	"embedding-queue": "it changes rows by COPY and in transactions of its own",
	export: "an id is unique within a bucket only",
	"kv-verify": "it breaks the cache of one schema, and expects one line for it",
	lookup: "it compares a row with one that a transaction of its own wrote",
	"model-versions": "it compares the relations of one schema",
	"read-plans": "it counts the pages that one schema reads",
	"renamed-field": "it runs statements that are offered for one schema",
	"row-security":
		"it calls functions of one schema, and it opens transactions of its own",
	"search-oracle": "its oracle computes scores from the words of one schema",
	telemetry: "it counts the statements of a call about all tenants",
	"tenant-rights": "it tries all relations of one schema",
	"time-limits": "it locks each table of one schema",
};

/** They run without buckets alone, and why. */
export const withoutBuckets: Readonly<Record<string, string>> = {
	buckets: "it states the number of buckets itself",
	"buckets-placement": "it states the number of buckets itself",
	db: "it tests connections, which know no buckets",
	"db-embedded": "it tests connections, which know no buckets",
	docs: "the examples of the documentation state results without buckets",
	"embedded-lock": "it tests the lock of a folder, which knows no buckets",
	"grammar-preload": "it opens no database",
	langchain: "it compares what is asked of the tables of one schema",
	"logical-replication":
		"it replicates tables of one schema to another database",
	migrate: "it expects the names and the number of what one schema applies",
	migrations: "it expects the names and the number of what one schema applies",
	"normalized-keys": "it calls functions of one schema by their name",
	psql: "the shipped SQL files are for one schema",
	schema: "it tests the SQL of one schema",
	search: "it passes the table of one schema to internal functions",
	"text-ranking": "it passes the table of one schema to internal functions",
	upsert: "it passes the table of one schema to internal functions",
	"usage-examples":
		"the examples of the documentation state results without buckets",
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
