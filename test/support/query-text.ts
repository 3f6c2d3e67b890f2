import fc from "fast-check";

/** Words and signs that queries are made of, rightly or wrongly put together. */
const words = [
	..."LOOKUP FUZZY SEARCH TRAVERSE SQL EXPLAIN IN FROM TABLE FIELD WHERE MIN LIMIT OFFSET THRESHOLD ORDER BY DEPTH DIRECTION WITH OUTBOUND TYPE".split(
		" ",
	),
	..."and or not in like ilike between is null true false any array interval coalesce now() current_date desc nulls first".split(
		" ",
	),
	..."documents resources people name content year created_at tags metadata tenant_id user_id id documents.name nope".split(
		" ",
	),
	..."= <> < >= -> ->> #>> @> <@ && ? ?| || + - * / % ~ ! ( ) [ ] , ; . :: $$ $1 -- /* */".split(
		" ",
	),
	..."0 1 5 -1 .5 1e400 99999999999999999999 0x1F".split(" "),
	..."'a' 'other' '2024-01-01' '{a,b}' '[1]' '7 days' \"name\" \"a b\" \"\" '' E'\\'' U&'\\0061' ' \" \\ \\' \\\"".split(
		" ",
	),
	..."::int ::text ::timestamptz ::int[] ARRAY['a'] ARRAY[1,2] ('a','b') (1,2) (SELECT 1)".split(
		" ",
	),
	..."set_config('rem.tenant_id','other',true) pg_sleep(5) generate_series(1,1000000) current_user version() lower(name) length(name) OR 1=1 UNION SELECT".split(
		" ",
	),
	"1=1) OR (1=1",
	"tenant_id = 'other'",
	"'; DROP TABLE documents; --",
	"紫式部",
	"🙂",
	"ﬁ",
	"\u202e",
];

const condition = fc.constantFrom(
	"year > 3",
	"name = 'a'",
	"tags @> ARRAY['a']",
	"metadata->>'a' = 'b'",
	"tenant_id = 'other'",
	"tenant_id <> 'own' OR true",
	"(metadata->>'n')::int > 1",
	"created_at > now() - interval '7 days'",
	"name LIKE '%' OR 1=1",
	"NOT (year IN (1, 2) AND name IS NULL)",
	"year BETWEEN 1 AND 2",
);

const noise = fc
	.array(fc.constantFrom(...words), { maxLength: 20 })
	.map((parts) => parts.join(" "));

/** A query as it should be, or nearly: with a condition and noise behind it. */
const query = fc
	.tuple(
		fc.constantFrom(
			"SQL documents WHERE",
			"SQL documents ORDER BY name LIMIT 5 WHERE",
			'SEARCH "a" IN documents WHERE',
			"SEARCH a b WHERE",
			"EXPLAIN SQL documents WHERE",
			"LOOKUP a,",
			'LOOKUP ["a",',
			"FUZZY a",
			'TRAVERSE knows WITH LOOKUP "a"',
		),
		condition,
		fc.constantFrom("AND", "OR", "AND NOT", "LIMIT 5", "", "MIN 0.1", ","),
		fc.oneof(condition, noise, fc.constant("")),
	)
	.map((parts) => parts.join(" "));

const longRun = fc
	.tuple(
		fc.constantFrom("SQL documents WHERE ", "LOOKUP ", "SEARCH ", "FUZZY '"),
		fc.constantFrom(
			"(",
			"NOT ",
			"' ",
			'" ',
			"a,",
			"[",
			"-",
			"\\'",
			"a AND ",
			"IN ",
		),
		fc.integer({ min: 1, max: 2000 }),
	)
	.map(([start, part, count]) => start + part.repeat(count));

/** Texts of every kind that may be given for a query. */
export const queryText: fc.Arbitrary<string> = fc.oneof(
	{ weight: 6, arbitrary: query },
	{ weight: 6, arbitrary: noise },
	{
		weight: 3,
		arbitrary: fc
			.tuple(fc.constantFrom(...words), noise)
			.map((parts) => parts.join(" ")),
	},
	{ weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
	{ weight: 1, arbitrary: longRun },
);
