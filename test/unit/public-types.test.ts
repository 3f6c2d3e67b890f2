import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const source = join(root, "src");
const index = join(source, "index.ts");

// What a user gets back, or passes in, must have a name to import.
test("every type that a public signature names is exported", () => {
	const { options } = ts.parseJsonConfigFileContent(
		ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
		ts.sys,
		root,
	);
	const program = ts.createProgram([index], { ...options, noEmit: true });
	const checker = program.getTypeChecker();
	const file = program.getSourceFile(index) as ts.SourceFile;
	const exported = new Set(
		checker
			.getExportsOfModule(checker.getSymbolAtLocation(file) as ts.Symbol)
			.map((symbol) => resolved(checker, symbol)),
	);
	expect(exported.size).toBeGreaterThan(100);
	const missing = new Map<ts.Symbol, string>();
	const queue = [...exported];
	const seen = new Set(queue);
	for (const symbol of queue)
		for (const named of namesIn(checker, symbol)) {
			if (!isOurs(named) || isComputed(named)) continue;
			if (!exported.has(named) && !missing.has(named))
				missing.set(
					named,
					`${named.name}, named by ${symbol.name} (${placeOf(named)})`,
				);
			if (seen.has(named)) continue;
			seen.add(named);
			queue.push(named);
		}
	expect([...missing.values()].sort()).toEqual([]);
	// It compiles the whole library.
});

function resolved(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
	return symbol.flags & ts.SymbolFlags.Alias
		? checker.getAliasedSymbol(symbol)
		: symbol;
}

/** The types that the public part of a declaration names. */
function namesIn(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol[] {
	const found: ts.Symbol[] = [];
	const visit = (node: ts.Node): void => {
		if (ts.isBlock(node) || isHidden(node)) return;
		// Inherited members are listed with the members; only remdb makes instances.
		if (ts.isHeritageClause(node) || ts.isConstructorDeclaration(node)) return;
		// Only a part of it is named: `Status["state"]`, `Omit<Options, "signal">`.
		if (ts.isIndexedAccessTypeNode(node)) return;
		if (
			ts.isTypeReferenceNode(node) &&
			/^(Omit|Pick)$/.test(node.typeName.getText())
		)
			return;
		const name = ts.isTypeReferenceNode(node) ? node.typeName : undefined;
		const type = name && checker.getSymbolAtLocation(name);
		if (type !== undefined) found.push(resolved(checker, type));
		// An initialiser is no signature.
		ts.forEachChild(node, (child) => {
			if (!("initializer" in node && node.initializer === child)) visit(child);
		});
	};
	for (const declaration of symbol.declarations ?? []) visit(declaration);
	return found;
}

/** Of the class alone, or marked as internal. */
function isHidden(node: ts.Node): boolean {
	const isPrivate =
		ts.isClassElement(node) &&
		node.name !== undefined &&
		ts.isPrivateIdentifier(node.name);
	const hasModifier =
		ts.canHaveModifiers(node) &&
		(ts.getModifiers(node) ?? []).some(
			({ kind }) => kind === ts.SyntaxKind.PrivateKeyword,
		);
	const isInternal = ts
		.getJSDocTags(node)
		.some(({ tagName }) => tagName.text === "internal");
	return isPrivate || hasModifier || isInternal;
}

function isOurs(symbol: ts.Symbol): boolean {
	const [declaration] = symbol.declarations ?? [];
	if (declaration === undefined || ts.isTypeParameterDeclaration(declaration))
		return false;
	const { fileName } = declaration.getSourceFile();
	return (
		!relative(source, dirname(fileName)).startsWith("..") &&
		isExportedThere(declaration)
	);
}

/** What a compiler shows by its result: an alias that takes types and makes one of them. */
function isComputed(symbol: ts.Symbol): boolean {
	const [declaration] = symbol.declarations ?? [];
	return (
		declaration !== undefined &&
		ts.isTypeAliasDeclaration(declaration) &&
		(declaration.typeParameters !== undefined || shorthands.has(symbol.name))
	);
}

/** `readonly Entity[]`, and a record of zod types. */
const shorthands = new Set(["Models", "Shape"]);

/** A type that its file does not export is expanded where it is used. */
function isExportedThere(declaration: ts.Declaration): boolean {
	return (
		ts.canHaveModifiers(declaration) &&
		(ts.getModifiers(declaration) ?? []).some(
			({ kind }) => kind === ts.SyntaxKind.ExportKeyword,
		)
	);
}

function placeOf(symbol: ts.Symbol): string {
	const [declaration] = symbol.declarations ?? [];
	return relative(root, declaration?.getSourceFile().fileName ?? "");
}
