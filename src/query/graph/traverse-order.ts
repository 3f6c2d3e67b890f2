import { RemError } from "../../errors.ts";
import { keysOf } from "../../util/present.ts";
import { quoted, suggest } from "../../util/suggest.ts";
import type { TraverseOrderField as Field, TraverseNode } from "./traversal.ts";

/** Edges without a weight weigh this. */
const usualWeight = 0.5;

const values: Readonly<Record<Field, (node: TraverseNode) => string | number>> =
	{
		depth: (node) => node.depth,
		weight: ({ edge }) => edge.weight ?? usualWeight,
		relType: ({ edge }) => edge.rel_type,
		createdAt: ({ edge }) => edge.created_at ?? "",
		entityKey: (node) => node.entityKey,
		entityType: (node) => node.entityType,
	};

interface OrderTerm {
	readonly field: Field;
	readonly sign: 1 | -1;
}

/** The terms; none for the order in which nodes are met. Throws `UNKNOWN_FIELD`. */
export function parseTraverseOrder(
	order: string | readonly string[] = "depth",
): readonly OrderTerm[] {
	const terms = [order]
		.flat()
		.flatMap((text) => text.split(","))
		.map(toTerm);
	const [first] = terms;
	// Nodes are met by their depth: nothing has to be sorted.
	return terms.length === 1 && first?.field === "depth" && first.sign === 1
		? []
		: terms;
}

function toTerm(text: string): OrderTerm {
	const [name = "", direction = "asc", ...rest] = text.trim().split(/\s+/);
	const field = fieldNamed(name);
	const isDown = direction.toLowerCase() === "desc";
	if (rest.length > 0 || !(isDown || direction.toLowerCase() === "asc"))
		throw new RemError(
			"VALIDATION",
			`orderBy ${quoted(text)} is no field and direction`,
			{ hint: 'write it like "weight desc"' },
		);
	return { field, sign: isDown ? -1 : 1 };
}

/** As TypeScript or as SQL writes it. */
function fieldNamed(name: string): Field {
	const plain = (text: string) => text.replaceAll("_", "").toLowerCase();
	const fields = keysOf(values);
	const field = fields.find((known) => plain(known) === plain(name));
	if (field !== undefined) return field;
	const hint = suggest(name, fields) ?? `there are ${fields.join(", ")}`;
	throw new RemError(
		"UNKNOWN_FIELD",
		`TRAVERSE cannot be ordered by ${quoted(name)}`,
		{ hint },
	);
}

/** Nodes that are equal in all terms stay as they were met. */
export function sortNodes(
	nodes: readonly TraverseNode[],
	terms: readonly OrderTerm[],
): TraverseNode[] {
	return nodes.toSorted((a, b) => {
		for (const { field, sign } of terms) {
			const [left, right] = [values[field](a), values[field](b)];
			if (left !== right) return left < right ? -sign : sign;
		}
		return 0;
	});
}
