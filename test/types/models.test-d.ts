// Compiled, not run: `npm run types` fails when a line below is wrong, or when
// one that must be an error is none.
import * as z from "zod";
import {
	defineEntity,
	type Edge,
	type FieldName,
	type Match,
	type NewRow,
	PostgresService,
	type Resource,
	type Row,
	registerType,
	type TextFieldName,
	type Where,
} from "../../src/index.ts";

const Document = defineEntity(
	"documents",
	{
		name: z.string(),
		content: z.string().optional(),
		title: z.string().nullable(),
		state: z.enum(["draft", "done"]).default("draft"),
		year: z.number().int().optional(),
		size: z.bigint().optional(),
		at: z.date().nullish(),
		labels: z.array(z.string()).default([]),
		data: z.object({ a: z.number() }).optional(),
		length: z
			.string()
			.transform((text) => text.length)
			.pipe(z.number()),
	},
	{ entityKeyField: "name", indexes: [["year"], ["state", "createdAt"]] },
);

const Note = defineEntity(
	"notes",
	{ text: z.string() },
	{ entityKeyField: null },
);

type Equal<A, B> =
	(<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
		? true
		: false;

function same<A, B>(_: Equal<A, B>): void {}

// Row: what zod puts out, null where there is no value, and the system's fields.
same<
	Row<typeof Document>,
	{
		readonly id: string;
		readonly tenantId: string;
		readonly userId: string | null;
		readonly graphEdges: Edge[];
		readonly metadata: Record<string, unknown>;
		readonly tags: string[];
		readonly createdAt: Date;
		readonly updatedAt: Date;
		readonly deletedAt: Date | null;
		readonly name: string;
		readonly content: string | null;
		readonly title: string | null;
		readonly state: "draft" | "done";
		readonly year: number | null;
		readonly size: bigint | null;
		readonly at: Date | null;
		readonly labels: string[];
		readonly data: { a: number } | null;
		readonly length: number;
	}
>(true);

// NewRow: what zod takes in.
const smallest: NewRow<typeof Document> = {
	name: "a",
	title: null,
	length: "xx",
};
const whole: NewRow<typeof Document> = {
	...smallest,
	id: "00000000-0000-0000-0000-000000000001",
	tenantId: "acme",
	userId: null,
	graphEdges: [{ dst: "b", rel_type: "knows", weight: 0.5, since: 1990 }],
	metadata: { anything: [1] },
	tags: ["t"],
	createdAt: new Date(),
	content: "text",
	state: "done",
	year: 1999,
	size: 1n,
	at: new Date(),
	labels: ["l"],
	data: { a: 1 },
};

// null clears what is optional and has no default; undefined is absent.
const cleared: NewRow<typeof Document> = {
	...smallest,
	content: null,
	year: null,
	size: null,
	at: null,
	data: null,
	state: undefined,
};

// Ready vectors are for text fields.
const ready: NewRow<typeof Document> = {
	...smallest,
	vectors: { content: new Float32Array(3), title: new Float32Array(3) },
};

// @ts-expect-error name is missing
const withoutName: NewRow<typeof Document> = { title: null, length: "x" };
// @ts-expect-error title may be null, not absent
const withoutTitle: NewRow<typeof Document> = { name: "a", length: "x" };
// @ts-expect-error a name is a text
const wrongName: NewRow<typeof Document> = { ...smallest, name: 1 };
// @ts-expect-error what goes into `length` is a text
const wrongInput: NewRow<typeof Document> = { ...smallest, length: 2 };
// @ts-expect-error one of draft and done
const wrongState: NewRow<typeof Document> = { ...smallest, state: "gone" };
// @ts-expect-error state has a default: null is no value of it
const nullState: NewRow<typeof Document> = { ...smallest, state: null };
// @ts-expect-error name is needed: null is no value of it
const nullName: NewRow<typeof Document> = { ...smallest, name: null };
// @ts-expect-error there is no such field
const unknownField: NewRow<typeof Document> = { ...smallest, yaer: 1999 };
// @ts-expect-error a date is no text
const dateAsText: NewRow<typeof Document> = { ...smallest, at: "2020-01-01" };
const vectorOfNumber: NewRow<typeof Document> = {
	...smallest,
	// @ts-expect-error year is not a text
	vectors: { year: new Float32Array(3) },
};
const vectorAsList: NewRow<typeof Document> = {
	...smallest,
	vectors: { content: [1, 2, 3] },
};
const vectorOfTexts: NewRow<typeof Document> = {
	...smallest,
	// @ts-expect-error a vector has numbers
	vectors: { content: ["1", "2"] },
};
const edgeWithoutTarget: NewRow<typeof Document> = {
	...smallest,
	// @ts-expect-error an edge has a dst
	graphEdges: [{ rel_type: "knows" }],
};
// @ts-expect-error deleting is not writing
const deleted: NewRow<typeof Document> = { ...smallest, deletedAt: new Date() };

// A row that was read can be written again.
declare const note: Row<typeof Note>;
const noteAgain: NewRow<typeof Note> = { ...note, deletedAt: null };

// Names of fields.
const own: FieldName<typeof Document> = "year";
const systems: FieldName<typeof Document> = "createdAt";
// @ts-expect-error there is no such field
const noField: FieldName<typeof Document> = "yaer";
same<TextFieldName<typeof Document>, "name" | "content" | "title" | "state">(
	true,
);

// Filters.
const where: Where<typeof Document> = {
	name: "a",
	content: null,
	year: { gte: 1990, lt: 2000, in: [1991], isNull: false },
	state: { ne: "draft", like: "d%" },
	size: { gt: 1n },
	at: { lte: new Date() },
	labels: { contains: ["a"], overlaps: ["b"] },
	data: { contains: { a: 1 } },
	tenantId: "acme",
	createdAt: { gt: new Date() },
	metadata: { contains: { source: "imdb" } },
	tags: { overlaps: ["t"] },
};
// @ts-expect-error there is no such field
const whereUnknown: Where<typeof Document> = { yaer: 1 };
// @ts-expect-error a year is a number
const whereType: Where<typeof Document> = { year: "1999" };
// @ts-expect-error no such operator
const whereOperator: Where<typeof Document> = { year: { greater: 1 } };
// @ts-expect-error LIKE is for texts
const whereLike: Where<typeof Document> = { year: { like: "19%" } };
// @ts-expect-error a name is never null
const whereNull: Where<typeof Document> = { name: null };
// @ts-expect-error one of draft and done
const whereEnum: Where<typeof Document> = { state: "gone" };
// @ts-expect-error lists take operators
const whereList: Where<typeof Document> = { labels: ["a"] };
// @ts-expect-error JSON takes operators
const whereJson: Where<typeof Document> = { data: { a: 1 } };

// Definitions.
const shape = { name: z.string() };
// @ts-expect-error the key is a field of the model
defineEntity("a", shape, { entityKeyField: "nmae" });
// @ts-expect-error each of several keys, too
defineEntity("a", shape, { entityKeyField: ["name", "x"] });
// Without a key, and without options.
same<Row<ReturnType<typeof unkeyed>>["name"], string>(true);
const unkeyed = () => defineEntity("a", shape);
defineEntity("a", shape, {});
// @ts-expect-error an option that there is not
defineEntity("a", shape, { entityKeyFeild: "name" });
// A z.object, with and without options.
const Whole = defineEntity(
	"wholes",
	z.object({ name: z.string(), year: z.int().optional() }),
	{ entityKeyField: "name", indexes: [["year"]] },
);
same<Row<typeof Whole>["year"], number | null>(true);
same<typeof Whole.tableName, "wholes">(true);
const Refined = defineEntity(
	"refined",
	z.strictObject({ from: z.int(), to: z.int() }).refine(() => true),
);
same<Row<typeof Refined>["to"], number>(true);
// @ts-expect-error the key is a field of the object
defineEntity("a", z.object(shape), { entityKeyField: "nmae" });
// @ts-expect-error an index is on fields of the model or the system
defineEntity("a", shape, { entityKeyField: "name", indexes: [["x"]] });
const text: string = registerType(Document).sql.kvTrigger;

// Calls.
export async function calls(): Promise<void> {
	const service = await PostgresService.connect({
		models: [Document, Note],
	});
	const { ids } = await service.batchUpsert({
		tableName: "documents",
		entities: [smallest],
	});
	same<typeof ids, readonly string[]>(true);
	await service.batchUpsert({
		tableName: "notes",
		entities: new Set([{ text: "a" }]),
	});
	await service.batchUpsert({
		tableName: "notes",
		entities: (async function* () {
			yield { text: "a" };
		})(),
	});
	// @ts-expect-error no such table
	await service.batchUpsert({ tableName: "documants", entities: [] });
	// @ts-expect-error a table that was not given to connect()
	await service.batchUpsert({ tableName: "resources", entities: [] });
	await service.batchUpsert({
		tableName: "notes",
		// @ts-expect-error a row of another table
		entities: [smallest],
	});
	await service.batchUpsert({
		tableName: "documents",
		// @ts-expect-error title and length are missing
		entities: [{ name: "a" }],
	});
	await service.batchUpsert({
		tableName: "documents",
		// @ts-expect-error a year is a number
		entities: [{ ...smallest, year: "1999" }],
	});
	await service.batchUpsert({
		tableName: "documents",
		entities: [],
		// @ts-expect-error true or "chunk"
		atomic: false,
	});

	const hits = await service.vectorSearch({
		tableName: "documents",
		queryText: "x",
		fieldName: "content",
		where: { year: { gte: 1990 } },
	});
	same<typeof hits, (Row<typeof Document> & Match)[]>(true);
	await service.vectorSearch({
		tableName: "documents",
		queryEmbedding: new Float32Array(3),
		// @ts-expect-error a field that is not text has no vector
		fieldName: "year",
	});
	await service.vectorSearch({
		tableName: "documents",
		queryEmbedding: [1, 2, 3],
	});
	await service.vectorSearch({
		tableName: "documents",
		queryText: "x",
		// @ts-expect-error no such field
		where: { yaer: 1999 },
	});

	const found = await service.lookupEntity({ entityKey: "a" });
	// @ts-expect-error there may be none
	found.entityId;
	const edges: Edge[] | undefined = found?.graphEdges;
	// @ts-expect-error one key or lookupEntities
	await service.lookupEntity({ entityKeys: ["a"] });
	// @ts-expect-error a query is needed
	await service.fuzzySearch({ threshold: 0.3 });
	// @ts-expect-error the tenant is a text
	await service.fuzzySearch({ query: "a", tenantId: null });

	// @ts-expect-error a search needs a text or a vector
	await service.vectorSearch({ tableName: "documents" });
	// @ts-expect-error also in every table
	await service.vectorSearch({ limit: 3 });
	// @ts-expect-error a query is needed
	await service.hybridSearch({ tableName: "documents" });
	// @ts-expect-error a query is needed
	await service.recall({ limit: 3 });
	await PostgresService.connect({
		// @ts-expect-error no such provider
		embedding: { provider: "opnai" },
	});
	await PostgresService.connect({ embedding: { provider: "module:./p.js" } });

	const documents = service.repository(Document);
	// One row and many: an error is at its field, and is about the row.
	await documents.upsert({
		...smallest,
		// @ts-expect-error a year is a number
		year: "1999",
	});
	// @ts-expect-error a year is a number; whether at the field or at the list depends on the compiler's order
	await documents.upsert([{ ...smallest, year: "1999" }]);
	await documents.upsert({
		name: "a",
		title: null,
		length: "xx",
		// @ts-expect-error there is no such field
		yaer: 1999,
	});
	await documents.upsert([
		{
			name: "a",
			title: null,
			length: "xx",
			// @ts-expect-error there is no such field
			yaer: 1999,
		},
	]);
	await documents.upsert(
		// @ts-expect-error title and length are missing
		{ name: "a" },
	);
	const one = await documents.upsert({ ...smallest, state: "done" });
	same<typeof one, Row<typeof Document>>(true);
	const many = await documents.upsert([smallest]);
	same<typeof many, Row<typeof Document>[]>(true);

	const updated = await documents.update(one.id, {
		year: 1999,
		content: null,
		length: "xx",
		labels: ["l"],
		metadata: { a: 1 },
		vectors: { content: [1, 2] },
	});
	same<typeof updated, Row<typeof Document> | undefined>(true);
	// @ts-expect-error there is no such field
	await documents.update(one.id, { yaer: 1999 });
	// @ts-expect-error a year is a number
	await documents.update(one.id, { year: "1999" });
	// @ts-expect-error a name cannot be cleared
	await documents.update(one.id, { name: null });
	// @ts-expect-error an id does not change
	await documents.update(one.id, { id: "x" });
	await documents.updateMany({ year: { lt: 1990 } }, { state: "done" });
	// @ts-expect-error no such operator
	await documents.updateMany({ year: { less: 1990 } }, { state: "done" });
	// @ts-expect-error one of draft and done
	await documents.updateMany({}, { state: "gone" });
	const first = await documents.findOne({}, { orderBy: "year desc" });
	same<typeof first, Row<typeof Document> | undefined>(true);
	// @ts-expect-error there is no such field
	await documents.find({}, { orderBy: "yaer" });
	// @ts-expect-error no such direction
	await documents.findOne({}, { orderBy: "year up" });
	await documents.findPage({}, { orderBy: ["year desc", "name"] });
	// @ts-expect-error there is no such field
	await documents.findPage({}, { orderBy: ["year desc", "nmae"] });
	// @ts-expect-error there is no such field
	documents.iterate({}, { orderBy: "yaer" });

	await service.traverse({ from: "a", orderBy: ["weight desc", "entityKey"] });
	// @ts-expect-error there is no such field
	await service.traverse({ from: "a", orderBy: "wait" });
	// @ts-expect-error no such direction
	await service.traverse({ from: "a", orderBy: "weight up" });

	const core = await PostgresService.connect();
	await core.batchUpsert({ tableName: "resources", entities: [{ name: "a" }] });
	const [resource] = await core.vectorSearch({
		tableName: "resources",
		queryText: "x",
	});
	same<typeof resource, (Row<typeof Resource> & Match) | undefined>(true);
	void [edges];
}

void [
	whole,
	cleared,
	ready,
	withoutName,
	withoutTitle,
	wrongName,
	wrongInput,
	wrongState,
	nullState,
	nullName,
	unknownField,
	dateAsText,
	vectorOfNumber,
	vectorAsList,
	vectorOfTexts,
	edgeWithoutTarget,
	deleted,
	noteAgain,
	own,
	systems,
	noField,
	where,
	whereUnknown,
	whereType,
	whereOperator,
	whereLike,
	whereNull,
	whereEnum,
	whereList,
	whereJson,
	text,
];
