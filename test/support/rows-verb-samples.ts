import {
	type GrownRepository,
	type NewRow,
	newRow,
	written,
} from "../../bench/support/grown-row.ts";
import type { Models } from "../../src/verbs/call-options.ts";
import type { RowsVerbs } from "../../src/verbs/repository/verbs.ts";
import {
	argumentsOf,
	type SampleRows,
	type VerbArguments,
	type VerbSample,
} from "./sample-calls.ts";

type Names = keyof RowsVerbs<Models[number]>;

const ofOneRow = {
	given: ({ id, tenantId }: SampleRows) => [id, tenantId],
	withoutEffect: ({ tenantId }: SampleRows) => [[], tenantId],
};

/** Of every verb of a repository, in the order in which tests call them; one without an entry does not compile. */
export const rowsVerbCalls: Readonly<
	Record<Names, VerbSample<GrownRepository>>
> = {
	upsert: {
		given: ({ tenantId }) => [
			{ name: "three", content: "and more" },
			{ tenantId },
		],
		withoutEffect: ({ tenantId }) => [[], { tenantId }],
		growth: [
			{
				about: "a new row with its vector",
				call: (rows, row) => rows.upsert(newRow(row)),
			},
		],
	},
	update: {
		given: ({ id, tenantId }) => [
			id,
			{ content: "the first text" },
			{ tenantId },
		],
		withoutEffect: ({ tenantId }) => [
			"00000000-0000-0000-0000-000000000000",
			{ content: "no text" },
			{ tenantId, generateEmbeddings: false },
		],
		growth: [
			{
				about: "the text of a row, without its vector",
				prepare: written,
				call: (rows, { content }, { id }: NewRow) =>
					rows.update(
						id,
						{ content: `${content} again` },
						{ generateEmbeddings: false },
					),
			},
		],
	},
	updateMany: {
		given: ({ tenantId }) => [
			{ name: "three" },
			{ content: "and more" },
			{ tenantId },
		],
		// An empty filter is all rows of the tenant.
		withoutEffect: () => [
			{ name: "nothing" },
			{ content: "no text" },
			{ tenantId: "a tenant without rows", generateEmbeddings: false },
		],
		growth: [
			{
				about: "the rows of a name",
				prepare: written,
				call: (rows, { content }, { id }: NewRow) =>
					rows.updateMany(
						{ id },
						{ content: `${content} again` },
						{ generateEmbeddings: false },
					),
			},
		],
	},
	find: {
		given: ({ tenantId }) => [{ tenantId }],
		growth: [
			{
				about: "10 rows, by name, from a name on",
				call: (rows, { name }) =>
					rows.find({ name: { gte: name } }, { orderBy: "name", limit: 10 }),
			},
		],
	},
	findOne: {
		given: ({ tenantId }) => [{ tenantId }],
		growth: [
			{ about: "by name", call: (rows, { name }) => rows.findOne({ name }) },
		],
	},
	findPage: {
		given: ({ tenantId }) => [{ tenantId }],
		growth: [
			{
				about: "the 10 latest",
				call: (rows) => rows.findPage({}, { limit: 10 }),
			},
		],
	},
	iterate: {
		given: ({ tenantId }) => [{ tenantId }],
		growth: [
			{
				about: "the first 100 rows",
				reads: "tenant",
				call: async (rows) => {
					let count = 0;
					for await (const _ of rows.iterate()) if (++count === 100) break;
				},
			},
		],
	},
	count: {
		given: ({ tenantId }) => [{ tenantId }],
		growth: [
			{
				about: "all rows of the tenant",
				reads: "tenant",
				call: (rows) => rows.count(),
			},
		],
	},
	getById: {
		given: ({ id, tenantId }) => [id, tenantId],
		growth: [{ about: "a row", call: (rows, { id }) => rows.getById(id) }],
	},
	getBySession: {
		given: ({ tenantId }) => [{ sessionId: "s", tenantId }],
		growth: [
			{
				about: "20 rows",
				call: (rows, { sessionId = "s0" }) => rows.getBySession({ sessionId }),
			},
		],
	},
	vectorStates: {
		given: ({ id, tenantId }) => [id, tenantId],
		growth: [
			{ about: "of a row", call: (rows, { id }) => rows.vectorStates(id) },
		],
	},
	delete: {
		...ofOneRow,
		growth: [
			{
				about: "a row",
				prepare: written,
				call: (rows, _, { id }: NewRow) => rows.delete(id),
			},
		],
	},
	restore: {
		...ofOneRow,
		growth: [
			{
				about: "a deleted row",
				prepare: async (service, row, rows) => {
					const made = await written(service, row);
					await rows.delete(made.id);
					return made;
				},
				call: (rows, _, { id }: NewRow) => rows.restore(id),
			},
		],
	},
	purge: {
		...ofOneRow,
		growth: [
			{
				about: "a row",
				prepare: written,
				call: (rows, _, { id }: NewRow) => rows.purge(id),
			},
		],
	},
};

/** The arguments of each verb, for calls about these rows. */
export function rowsVerbSamples(
	rows: SampleRows,
): Readonly<Record<Names, VerbArguments>> {
	return argumentsOf(rowsVerbCalls, rows);
}
