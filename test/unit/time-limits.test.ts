import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("..", import.meta.url));
const minMs = 300_000;

// A limit that an idle machine meets fails on a busy one. What hangs is ended by
// the limits of vitest.config.ts.
test("no test, hook or poll has a limit of time shorter than everything's", () => {
	const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
	const short = files
		.filter((name) => name.endsWith(".test.ts"))
		.flatMap((name) =>
			limitsIn(name)
				.filter(({ ms }) => ms < minMs)
				.map(({ ms, line }) => `${name}:${line}: ${ms}`),
		);
	expect(short).toEqual([]);
});

/** Last arguments of tests and hooks, and `timeout` of tests, blocks and polls. */
function limitsIn(name: string): { ms: number; line: number }[] {
	const text = readFileSync(join(folder, name), "utf8");
	const source = ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true);
	const found: { ms: number; line: number }[] = [];
	const note = (limit: ts.Expression | undefined) => {
		if (limit === undefined || !ts.isNumericLiteral(limit)) return;
		const { line } = source.getLineAndCharacterOfPosition(limit.getStart());
		found.push({ ms: Number(limit.text), line: line + 1 });
	};
	const visit = (node: ts.Node): void => {
		if (ts.isCallExpression(node)) {
			const { expression: callee, arguments: given } = node;
			const isTest = testCalls.test(rootOf(callee).getText());
			if (isTest && given.length > 1) note(given.at(-1));
			const isPoll =
				ts.isPropertyAccessExpression(callee) && callee.name.text === "poll";
			if (isTest || isPoll)
				for (const options of given.filter(ts.isObjectLiteralExpression))
					for (const property of options.properties)
						if (
							ts.isPropertyAssignment(property) &&
							property.name.getText() === "timeout"
						)
							note(property.initializer);
		}
		ts.forEachChild(node, visit);
	};
	visit(source);
	return found;
}

const testCalls = /^(test|it|describe|(before|after)(All|Each))$/;

/** `test` of `test.runIf(…).each(…)`. */
function rootOf(node: ts.Expression): ts.Expression {
	return ts.isCallExpression(node) || ts.isPropertyAccessExpression(node)
		? rootOf(node.expression)
		: node;
}
