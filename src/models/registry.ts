import { RemError } from "../errors.ts";
import { quoted, suggest } from "../util/suggest.ts";
import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";

/** An entity in a schema of the database: what every statement is built from. */
export interface EntityTable {
	readonly schema: string;
	readonly entity: Entity;
	/** Text search configuration of its words. @default "english" */
	readonly language?: string;
	/** Row level security applies to its readers: some conditions reach their index through a function only. @default false */
	readonly hasRowSecurity?: boolean;
}

/** What tables are read with. */
export interface RegistryOptions {
	/** @default "english" */
	readonly language?: string;
	/** @default false */
	readonly rowSecurity?: boolean;
}

/** The entities a service knows, by table name. */
export class Registry {
	readonly schema: string;
	readonly #language: string;
	readonly #rowSecurity: boolean;
	readonly #tables = new Map<string, EntityTable>();
	/** What {@link all} returns, until it changes. */
	#all: readonly EntityTable[] | undefined;
	/** Registries of the same models in other schemas. */
	readonly #copies: Registry[] = [];

	constructor(
		schema: string,
		entities: readonly Entity[],
		{ language = "english", rowSecurity = false }: RegistryOptions = {},
	) {
		this.schema = schema;
		this.#language = language;
		this.#rowSecurity = rowSecurity;
		for (const entity of entities) this.add(entity);
	}

	/** @internal The same models in another schema, now and later. */
	copy(schema: string): Registry {
		const copy = new Registry(
			schema,
			this.all().map(({ entity }) => entity),
			{ language: this.#language, rowSecurity: this.#rowSecurity },
		);
		this.#copies.push(copy);
		return copy;
	}

	/** Registering the same definition twice is fine; another one of that name is not. */
	add(entity: Entity): EntityTable {
		checkDefinition(entity);
		const known = this.#tables.get(entity.tableName);
		if (known !== undefined && known.entity !== entity)
			throw new RemError(
				"VALIDATION",
				`two models have the table "${entity.tableName}"`,
				{ hint: "give one of them another table name" },
			);
		const table = known ?? {
			schema: this.schema,
			entity,
			language: this.#language,
			hasRowSecurity: this.#rowSecurity && entity.tenantScoped,
		};
		this.#tables.set(entity.tableName, table);
		this.#all = undefined;
		for (const copy of this.#copies) copy.add(entity);
		return table;
	}

	/** Forgets a model that could not be applied. */
	remove(entity: Entity): void {
		this.#tables.delete(entity.tableName);
		this.#all = undefined;
		for (const copy of this.#copies) copy.remove(entity);
	}

	has(entity: Entity): boolean {
		return this.#tables.get(entity.tableName)?.entity === entity;
	}

	get(tableName: string): EntityTable {
		const table = this.#tables.get(tableName);
		if (table !== undefined) return table;
		const hint = suggest(String(tableName), [...this.#tables.keys()]);
		throw new RemError(
			"UNKNOWN_ENTITY",
			`unknown entity ${quoted(tableName)}`,
			hint === undefined ? {} : { hint },
		);
	}

	/** The same list until a model is added or removed. */
	all(): readonly EntityTable[] {
		this.#all ??= [...this.#tables.values()];
		return this.#all;
	}
}

/** Throws `VALIDATION` with everything that is wrong with the definition. */
export function checkDefinition(entity: Entity): void {
	if (entity.problems.length === 0) return;
	const list = entity.problems.map(({ field, message }) =>
		field === undefined ? message : `${field}: ${message}`,
	);
	throw new RemError(
		"VALIDATION",
		`model "${entity.tableName}" cannot be a table: ${list.join("; ")}`,
		{ issues: entity.problems },
	);
}

/** The field of that name, or `UNKNOWN_FIELD` with the nearest one. */
export function fieldOf(entity: Entity, name: string): Field {
	const field = entity.fieldsByName.get(name);
	if (field !== undefined) return field;
	const hint = suggest(name, [...entity.fieldsByName.keys()]);
	throw new RemError(
		"UNKNOWN_FIELD",
		`unknown field ${quoted(name)} of "${entity.tableName}"`,
		hint === undefined ? {} : { hint },
	);
}

/** The embeddable field of that name; `FIELD_NOT_EMBEDDED` names those that exist. */
export function embedFieldOf(entity: Entity, name: string): Field {
	const field = fieldOf(entity, name);
	if (entity.embedFields.includes(field)) return field;
	throw fieldNotEmbedded(entity, `field "${name}" of "${entity.tableName}"`);
}

export function fieldNotEmbedded(entity: Entity, subject: string): RemError {
	const fields = entity.embedFields.map((field) => field.name).join(", ");
	return new RemError("FIELD_NOT_EMBEDDED", `${subject} has no embeddings`, {
		hint:
			fields === ""
				? "mark a text field with .meta({ embed: true })"
				: `embedded fields: ${fields}`,
	});
}
