import type { Entity } from "../../models/entity.ts";
import { writeJson } from "../../models/json-text.ts";
import type { Column } from "./table.ts";

type Row = Readonly<Record<string, unknown>>;

/** The key first, then the model's other fields, then owner and times. */
export function rowColumns(entity: Entity): Column<Row>[] {
	const keys = entity.keyFields ?? [];
	const others = entity.fields.filter((field) => !keys.includes(field));
	const system = ["userId", "tags", "createdAt"];
	return [
		...(keys.length === 0 ? ["id"] : keys.map(({ name }) => name)),
		...others.map(({ name }) => name),
		...system,
	].map((name) => ({
		title: (entity.fieldsByName.get(name)?.column ?? name).toUpperCase(),
		value: (row) => cellText(row[name]),
	}));
}

/** A value in one cell of a table. */
export function cellText(value: unknown): string {
	if (value === null || value === undefined) return "";
	if (value instanceof Date) return value.toISOString().slice(0, 16);
	if (Array.isArray(value)) return value.map(cellText).join(", ");
	return typeof value === "object" ? writeJson(value) : String(value);
}
