import type { CatalogueNames } from "../db/catalogue/relations.ts";
import { type BaseOptions, baseFiles } from "../schema/base.ts";

/** The tables and functions that the files of ours make, whatever the models. */
export function baseNames(base: BaseOptions): CatalogueNames {
	const text = baseFiles(base)
		.map((file) => file.text)
		.join("\n");
	const names = (what: RegExp) => [
		...new Set([...text.matchAll(what)].map(([, name = ""]) => name)),
	];
	return {
		relations: names(
			/CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?"[^"]+"\."([^"]+)"/g,
		),
		functions: names(/CREATE OR REPLACE FUNCTION "[^"]+"\."([^"]+)"/g),
	};
}
