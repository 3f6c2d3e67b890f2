import { useState } from "preact/hooks";
import type {
	FieldModel,
	TableModel,
} from "../../../../src/studio/api/bootstrap.ts";
import type { Json } from "../../../../src/studio/api/common.ts";
import type {
	EditRequest,
	EntityDetail,
} from "../../../../src/studio/api/entities.ts";
import { Problem } from "../../components/states.tsx";
import { isNumeric } from "../../components/value.tsx";
import { type Failure, toFailure } from "../../lib/failure.ts";
import { Card, ownFirst } from "./entity.tsx";

type Change = Pick<EditRequest, "fields" | "updatedAt">;

/** Every field that may change, as text; only those that did are sent. */
export function EditForm({
	entity,
	table,
	saved,
	close,
}: {
	readonly entity: EntityDetail;
	readonly table: TableModel;
	/** Throws what the model refuses. */
	readonly saved: (change: Change) => Promise<void>;
	readonly close: () => void;
}) {
	const fields = ownFirst(table).filter(({ isEditable }) => isEditable);
	const before = Object.fromEntries(
		fields.map((field) => [
			field.name,
			toText(entity.fields[field.name], field),
		]),
	);
	const [texts, setTexts] =
		useState<Readonly<Record<string, string | null>>>(before);
	const [problems, setProblems] = useState<Readonly<Record<string, string>>>(
		{},
	);
	const [failure, setFailure] = useState<Failure>();
	const [isBusy, setBusy] = useState(false);
	const changed = fields.filter(({ name }) => texts[name] !== before[name]);
	const submit = async (event: Event) => {
		event.preventDefault();
		const read = readFields(changed, texts);
		setProblems(read.problems);
		setFailure(undefined);
		if (Object.keys(read.problems).length > 0) return;
		setBusy(true);
		try {
			await saved({ fields: read.fields, updatedAt: entity.updatedAt });
		} catch (error) {
			const refused = toFailure(error);
			setFailure(refused);
			setProblems(problemsOf(refused));
			setBusy(false);
		}
	};
	return (
		<Card title="Edit">
			<form class="stack" onSubmit={submit}>
				{fields.map((field) => (
					<Field
						key={field.name}
						field={field}
						text={texts[field.name] ?? null}
						problem={problems[field.name]}
						change={(text) => setTexts({ ...texts, [field.name]: text })}
					/>
				))}
				{failure === undefined ? null : <Problem failure={failure} />}
				<div class="row">
					<button
						type="submit"
						class="button primary"
						disabled={isBusy || changed.length === 0}
					>
						{isBusy ? "Saving…" : "Save"}
					</button>
					<button type="button" class="button" onClick={close}>
						Cancel
					</button>
					<span class="muted">
						{changed.length === 0
							? "nothing changed"
							: `changes ${changed.map(({ name }) => name).join(", ")}`}
					</span>
				</div>
			</form>
		</Card>
	);
}

function problemsOf({ issues }: Failure): Record<string, string> {
	return Object.fromEntries(
		issues.flatMap(({ field, message }) =>
			field === undefined ? [] : [[field, message]],
		),
	);
}

interface FieldProps {
	readonly field: FieldModel;
	/** `null`: no value. */
	readonly text: string | null;
	readonly problem: string | undefined;
	readonly change: (text: string | null) => void;
}

function Field({ field, text, problem, change }: FieldProps) {
	const id = `edit-${field.name}`;
	const props = {
		id,
		class: "input",
		disabled: text === null,
		value: text ?? "",
		"aria-invalid": problem === undefined ? undefined : ("true" as const),
		"aria-describedby": problem === undefined ? undefined : `${id}-problem`,
	};
	return (
		<div class="field">
			<span class="row apart">
				<label for={id}>
					{field.name} <span class="muted">{field.type}</span>
				</label>
				{field.isNullable ? (
					<label class="check muted">
						<input
							type="checkbox"
							checked={text === null}
							aria-label={`${field.name} has no value`}
							onChange={({ currentTarget }) =>
								change(currentTarget.checked ? null : "")
							}
						/>
						no value
					</label>
				) : null}
			</span>
			{field.type === "boolean" ? (
				<select
					{...props}
					onChange={({ currentTarget }) => change(currentTarget.value)}
				>
					<option value="true">true</option>
					<option value="false">false</option>
				</select>
			) : isLong(field) ? (
				<textarea
					{...props}
					rows={Math.min(12, 1 + Math.ceil((text ?? "").length / 80))}
					onInput={({ currentTarget }) => change(currentTarget.value)}
				/>
			) : (
				<input
					{...props}
					onInput={({ currentTarget }) => change(currentTarget.value)}
				/>
			)}
			{problem === undefined ? null : (
				<span class="problem" id={`${id}-problem`}>
					{problem}
				</span>
			)}
		</div>
	);
}

function isLong({ type, isKey }: FieldModel): boolean {
	return (type === "text" && !isKey) || isJson(type);
}

function isJson(type: string): boolean {
	return type === "jsonb" || type.endsWith("[]");
}

function toText(value: Json | undefined, { type }: FieldModel): string | null {
	if (value === null || value === undefined) return null;
	if (isJson(type)) return JSON.stringify(value, null, 1);
	return typeof value === "string" ? value : JSON.stringify(value);
}

interface ReadFields {
	readonly fields: Record<string, Json>;
	readonly problems: Record<string, string>;
}

function readFields(
	changed: readonly FieldModel[],
	texts: Readonly<Record<string, string | null>>,
): ReadFields {
	const read: ReadFields = { fields: {}, problems: {} };
	for (const field of changed) {
		const value = readField(texts[field.name] ?? null, field);
		if (value === undefined)
			read.problems[field.name] = isJson(field.type)
				? "this is not JSON"
				: "this is not a number";
		else read.fields[field.name] = value;
	}
	return read;
}

/** `undefined`: the text has no such value. */
function readField(
	text: string | null,
	{ type }: FieldModel,
): Json | undefined {
	if (text === null) return null;
	if (type === "boolean") return text === "true";
	if (isJson(type)) {
		try {
			return JSON.parse(text) as Json;
		} catch {
			return undefined;
		}
	}
	if (!isNumeric(type)) return text;
	const number = Number(text);
	if (text.trim() === "" || Number.isNaN(number)) return undefined;
	const isExact = Number.isSafeInteger(number) || !Number.isInteger(number);
	return isExact ? number : text.trim();
}
