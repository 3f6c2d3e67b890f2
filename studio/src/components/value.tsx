import type { Json } from "../../../src/studio/api/common.ts";
import { excerpt } from "../lib/format.ts";
import { Time } from "./time.tsx";

const numeric = /^(bigint|integer|smallint|numeric|real|double precision)/;

/** Numbers stand on the right. */
export function isNumeric(type: string | null | undefined): boolean {
	return type != null && numeric.test(type) && !type.endsWith("[]");
}

/** A field's value in a cell of a table: short, by its type. */
export function Value({
	value,
	type,
}: {
	readonly value: Json | undefined;
	readonly type?: string | null | undefined;
}) {
	if (value === null || value === undefined)
		return <span class="muted">—</span>;
	if (typeof value === "boolean") return <>{value ? "true" : "false"}</>;
	if (typeof value === "number") return <>{value}</>;
	if (typeof value === "string") {
		if (type?.startsWith("timestamp")) return <Time at={value} />;
		if (isNumeric(type)) return <>{value}</>;
		if (type === "uuid") return <code>{value}</code>;
		return <span class={clipOf(value)}>{excerpt(value)}</span>;
	}
	if (Array.isArray(value) && value.every(isSimple))
		return value.length === 0 ? (
			<span class="muted">empty</span>
		) : (
			<span class="tags">
				{value.slice(0, 4).map((item, at) => (
					<span key={at} class="badge">
						{excerpt(String(item), 40)}
					</span>
				))}
				{value.length > 4 ? (
					<span class="muted">+{value.length - 4}</span>
				) : null}
			</span>
		);
	const json = JSON.stringify(value);
	return <code class={clipOf(json)}>{excerpt(json, 120)}</code>;
}

/** From so many characters on, a cell needs room. */
const longFrom = 24;

function clipOf(text: string): string {
	return text.length >= longFrom ? "clip is-long" : "clip";
}

function isSimple(value: Json): boolean {
	return typeof value !== "object" || value === null;
}
