// How the files of test/engine run where the tenants of every service are spread
// over buckets. A file that is named nowhere runs with three buckets.

/** They run with one bucket, and why: SQL that a test writes cannot be sent to several. */
export const inOneBucket: Readonly<Record<string, string>> = {
	"bulk-load": "it changes the indexes of one schema",
	doctor: "it breaks one table, and expects one line for it",
	"drift-of-verbs": "it runs texts that are generated for one schema",
	"embedding-queue": "it changes rows by COPY and in transactions of its own",
	export: "an id is unique within a bucket only",
	"kv-verify": "it breaks the cache of one schema, and expects one line for it",
	model: "an id is unique within a bucket only",
	"model-versions": "it compares the relations of one schema",
	"read-plans": "it counts the pages that one schema reads",
	"register-type": "it runs texts that are generated for one schema",
	"renamed-field": "it runs statements that are offered for one schema",
	"row-security-indexes": "it inserts rows of many tenants by one statement",
	telemetry: "it counts the statements of a call about all tenants",
	"tenant-rights": "it tries all relations of one schema",
	"text-ranking": "it inserts rows of many tenants by one statement",
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
	"hostile-settings": "it sets the search path itself",
	"logical-replication":
		"it replicates tables of one schema to another database",
	migrate: "it expects the names and the number of what one schema applies",
	migrations: "it expects the names and the number of what one schema applies",
	psql: "the shipped SQL files are for one schema",
	"rights-in-buckets": "it states the number of buckets itself",
	schema: "it tests the SQL of one schema",
	"usage-examples":
		"the examples of the documentation state results without buckets",
};

/** Those that `npm run proofs` runs with three buckets: every public call, in about three minutes. */
export const bucketedProofs: readonly string[] = [
	"find-page",
	"langchain",
	"mcp",
	"query",
	"repository",
	"scope",
	"studio",
	"transaction-handle",
	"update",
];
