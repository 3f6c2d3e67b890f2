/**
 * The statements of a text that this package generates, without semicolons: it has no
 * escapes but doubled quotes, and no nested comments. For the user's SQL use
 * `splitStatements`, which loads PostgreSQL's grammar.
 */
export function statementsOf(text: string): string[] {
	const statements: string[] = [];
	let from = 0;
	/** Number of open blocks in the body of a SQL function: BEGIN ATOMIC, and CASE within. */
	let open = 0;
	const add = (to: number) => {
		const statement = withoutLeadingSpace(text.slice(from, to));
		if (statement !== "") statements.push(statement);
	};
	for (const { 0: token, index } of text.matchAll(tokens)) {
		if (/^BEGIN\s+ATOMIC$/i.test(token)) open = 1;
		else if (open > 0 && /^case$/i.test(token)) open++;
		else if (open > 0 && /^end$/i.test(token)) open--;
		else if (open === 0 && token === ";") {
			add(index);
			from = index + 1;
		}
	}
	add(text.length);
	return statements;
}

/** Comments and literals, whose semicolons end no statement, and words that open or close a block. */
const tokens =
	/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?<tag>[A-Za-z_]*)\$[\s\S]*?\$\k<tag>\$|\bBEGIN\s+ATOMIC\b|\bCASE\b|\bEND\b|;/gi;

function withoutLeadingSpace(statement: string): string {
	return statement
		.replace(/^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/, "")
		.trimEnd();
}
