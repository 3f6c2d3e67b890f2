// Finishes dist/ after the compiler: the entry for CommonJS, and no types that the
// public ones do not need.
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import ts from "typescript";

/** A CommonJS file states with it that it means the ES module's types. */
const mode = '{ "resolution-mode": "import" }';

/** Where users import from: the folders of `dist` that have an index. */
const entries = ["", "ai", "langchain", "studio"];

export function finishTypes(dist) {
	const files = entries.map((folder) => join(dist, folder, "index.d.ts"));
	const program = ts.createProgram(files, {
		module: ts.ModuleKind.NodeNext,
		moduleResolution: ts.ModuleResolutionKind.NodeNext,
		types: [],
	});
	removeInternalTypes(dist, program);
	for (const file of files)
		writeCommonJsEntry(
			dirname(file),
			program.getTypeChecker(),
			program.getSourceFile(file),
		);
}

function removeInternalTypes(dist, program) {
	const needed = new Set(
		program.getSourceFiles().map(({ fileName }) => resolve(fileName)),
	);
	for (const name of readdirSync(dist, { recursive: true })) {
		const path = resolve(dist, name);
		if (path.endsWith(".d.ts") && !needed.has(path)) rmSync(path);
	}
}

/**
 * What `require("remdb")` finds refers to the ES module and defines nothing: each class
 * is one object and one type, whichever way a file of the program imports it.
 */
function writeCommonJsEntry(dist, checker, entry) {
	writeFileSync(
		join(dist, "index.cjs"),
		'"use strict";\nmodule.exports = require("./index.js");\n',
	);
	writeFileSync(join(dist, "index.d.cts"), commonJsTypes(checker, entry));
}

function commonJsTypes(checker, entry) {
	const module = checker.getSymbolAtLocation(entry);
	const exports = checker.getExportsOfModule(module);
	const names = new Map(
		exports.map((exported) => [target(exported), exported.name]),
	);
	const types = [];
	const values = [];
	for (const exported of exports) {
		const { name } = exported;
		const isType =
			exported.declarations.every(ts.isTypeOnlyImportOrExportDeclaration) ||
			(target(exported).flags & ts.SymbolFlags.Value) === 0;
		if (isType) types.push(`\t${name},`);
		else
			values.push(
				...classType(name, target(exported)),
				`export declare const ${name}: typeof module.${name};`,
			);
	}
	return [
		`import type * as module from "./index.js" with ${mode};`,
		"export type {",
		...types,
		`} from "./index.js" with ${mode};`,
		...values,
		"",
	].join("\n");

	function target(symbol) {
		return (symbol.flags & ts.SymbolFlags.Alias) === 0
			? symbol
			: checker.getAliasedSymbol(symbol);
	}

	/** A constant has no instances: the type of a class's is declared beside it. */
	function classType(name, symbol) {
		const declaration = symbol.declarations.find(ts.isClassDeclaration);
		if (declaration === undefined) return [];
		const parameters = declaration.typeParameters ?? [];
		const list = (texts) => (texts.length === 0 ? "" : `<${texts.join(", ")}>`);
		return [
			`export type ${name}${list(parameters.map(parameterText))} = module.${name}${list(
				parameters.map(({ name }) => name.text),
			)};`,
		];
	}

	function parameterText({ name, constraint, default: usual }) {
		return [
			name.text,
			...(constraint ? ["extends", publicText(constraint)] : []),
			...(usual ? ["=", publicText(usual)] : []),
		].join(" ");
	}

	/** The type in public names: an alias that is not exported is written out. */
	function publicText(node) {
		if (ts.isTypeReferenceNode(node) || ts.isTypeQueryNode(node)) {
			const name = ts.isTypeQueryNode(node) ? node.exprName : node.typeName;
			const symbol = target(checker.getSymbolAtLocation(name));
			const exported = names.get(symbol);
			if (exported !== undefined)
				return node.getText().replace(name.getText(), `module.${exported}`);
			const alias = symbol.declarations?.find(ts.isTypeAliasDeclaration);
			if (alias !== undefined) return publicText(alias.type);
		}
		let text = node.getText();
		const children = [];
		ts.forEachChild(node, (child) => {
			children.push(child);
		});
		for (const child of children.reverse())
			text =
				text.slice(0, child.getStart() - node.getStart()) +
				publicText(child) +
				text.slice(child.end - node.getStart());
		return text;
	}
}
