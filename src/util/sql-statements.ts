/**
 * The statements of a text written in this code base, without the semicolons: what
 * generates it has no escapes but doubled quotes, and no nested comments. For
 * texts of other authors: `splitStatements`, which loads PostgreSQL's grammar.
 */
export function statementsOf(text: string): string[] {
	const statements: string[] = [];
	let from = 0;
	/** Blocks of a SQL function's body that are open: BEGIN ATOMIC, and CASE within. */
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

/** What may contain a semicolon that ends nothing, and what opens or closes a block. */
const tokens =
	/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?<tag>[A-Za-z_]*)\$[\s\S]*?\$\k<tag>\$|\bBEGIN\s+ATOMIC\b|\bCASE\b|\bEND\b|;/gi;

function withoutLeadingSpace(statement: string): string {
	return statement
		.replace(/^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/, "")
		.trimEnd();
}
