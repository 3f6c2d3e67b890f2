import { RemError } from "../errors.ts";
import { isRecord } from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";

/**
 * A filter as LangChain's vector stores write it: fields of the model and keys of
 * the documents' metadata side by side, a value or operators each.
 *
 * @example
 * { category: "drama", year: { gte: 1990 }, source: { in: ["imdb", "wiki"] } }
 */
export type RemFilter = Readonly<Record<string, unknown>>;

/** The store's filter as a filter of remdb: what is not a field of the model is a key of `metadata`. */
export function toWhere(entity: Entity, filter: unknown): RemFilter {
	if (!isRecord(filter))
		throw new RemError("FILTER_REFUSED", "the filter must be an object", {
			hint: '{ category: "drama", year: { gte: 1990 } }',
		});
	return {
		AND: Object.entries(filter).map(([name, condition]) =>
			toCondition(entity, name, condition),
		),
	};
}

function toCondition(
	entity: Entity,
	name: string,
	condition: unknown,
): RemFilter {
	const inner = (one: unknown) => toWhere(entity, one);
	switch (name) {
		case "AND":
		case "OR":
			if (!Array.isArray(condition)) break;
			return { [name]: condition.map(inner) };
		case "NOT":
			return { NOT: [condition].flat().map(inner) };
		default:
			return entity.fieldsByName.has(name)
				? { [name]: ofField(condition) }
				: ofMetadata(name, condition);
	}
	throw new RemError("FILTER_REFUSED", `${name} must be a list of filters`);
}

/** LangChain's name for an array that contains values. */
function ofField(condition: unknown): unknown {
	if (!isOperators(condition) || !("arrayContains" in condition))
		return condition;
	const { arrayContains, ...others } = condition;
	return { ...others, contains: arrayContains };
}

function ofMetadata(key: string, condition: unknown): RemFilter {
	const path = [key];
	const at = (operators: object) => ({ metadata: { path, ...operators } });
	if (condition === null) return at({ isNull: true });
	if (!isOperators(condition)) return at({ eq: condition });
	const { notIn, arrayContains, ne, ...others } = condition;
	return {
		AND: [
			...(Object.keys(others).length === 0 ? [] : [at(others)]),
			...(arrayContains === undefined ? [] : [at({ contains: arrayContains })]),
			...(ne === undefined ? [] : [{ NOT: at({ eq: ne }) }]),
			...(notIn === undefined ? [] : [{ NOT: at({ in: notIn }) }]),
		],
	};
}

function isOperators(
	condition: unknown,
): condition is Readonly<Record<string, unknown>> {
	return (
		isRecord(condition) &&
		!Array.isArray(condition) &&
		!(condition instanceof Date)
	);
}
