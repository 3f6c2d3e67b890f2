/** The expression that turns a column's values into those of another type. */
export function conversion(column: string, from: string, to: string): string {
	if (from === to) return column;
	if (to === "jsonb") return `to_jsonb(${column})`;
	if (from === "jsonb" && to === "text") return `${column} #>> '{}'`;
	if (from === "timestamp without time zone" && to.startsWith("timestamp"))
		return `${column} AT TIME ZONE 'UTC'`;
	if (to.endsWith("[]") && !from.endsWith("[]"))
		return `CASE WHEN ${column} IS NOT NULL THEN ARRAY[${viaText(column, to.slice(0, -2))}] END`;
	if (isKin(from, to)) return `${column}::${to}`;
	return viaText(column, to);
}

/** Whether PostgreSQL rewrites the table; a longer or unbounded text only lifts a limit. */
export function isRewrite(from: string, to: string): boolean {
	const before = textLimit(from);
	const after = textLimit(to);
	if (before !== undefined && after !== undefined) return after < before;
	return !(from.startsWith("vector(") && to === "vector");
}

function textLimit(type: string): number | undefined {
	if (type === "text" || type === "character varying") return Infinity;
	const [, limit] = /^character varying\((\d+)\)$/.exec(type) ?? [];
	return limit === undefined ? undefined : Number(limit);
}

const families = [
	/^(smallint|integer|bigint|real|double precision|numeric.*)$/,
	/^timestamp.* with time zone$/,
	/^(text|character.*)$/,
	/^(vector|halfvec)/,
];

function isKin(from: string, to: string): boolean {
	return families.some((family) => family.test(from) && family.test(to));
}

/** What fails on a row fails the whole statement: nothing is changed then. */
function viaText(column: string, to: string): string {
	return to === "text" ? `${column}::text` : `${column}::text::${to}`;
}
