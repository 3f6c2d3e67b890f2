import fc from "fast-check";
import * as z from "zod";
import { defineEntity, type Entity } from "../../src/index.ts";

const fieldNames = [
	"name",
	"title",
	"content",
	"summary",
	"order",
	"sizeBytes",
	"a",
	"b1",
	"aFieldOfSoLongANameThatItsIndexesAreCut",
] as const;

/** Types by name, each with a default of its own. */
const types = {
	text: [z.string(), 'it\'s \\ "so"'],
	state: [z.enum(["on", "off"]), "off"],
	uuid: [z.uuid(), "019a0000-0000-7000-8000-000000000000"],
	whole: [z.int(), -7],
	big: [z.bigint(), 2n ** 60n],
	number: [z.number(), 0.5],
	flag: [z.boolean(), true],
	time: [z.date(), undefined],
	json: [z.record(z.string(), z.unknown()), { a: ["'", '"'] }],
	texts: [z.array(z.string()), ["a,b", 'c"d', "\\"]],
	wholes: [z.array(z.int()), []],
	times: [z.array(z.date()), undefined],
} as const satisfies Record<string, readonly [z.ZodType, unknown]>;

const keyTypes = ["text", "state", "uuid", "whole", "big", "flag"];

const field = fc.record({
	type: fc.constantFrom(...(Object.keys(types) as (keyof typeof types)[])),
	presence: fc.constantFrom("required", "optional", "default"),
	embed: fc.constantFrom(true, false, undefined),
});

const fields = fc.dictionary(fc.constantFrom(...fieldNames), field, {
	minKeys: 1,
	maxKeys: 6,
	noNullPrototype: true,
});

const options = fc.record({
	keySize: fc.integer({ min: 0, max: 2 }),
	tenantScoped: fc.boolean(),
	createEmbeddings: fc.boolean(),
	createKvTrigger: fc.boolean(),
	indexed: fc.integer({ min: 0, max: 3 }),
	unique: fc.integer({ min: 0, max: 2 }),
});

/** Models of a table, as different as models can be. */
export function randomModel(tableName: string): fc.Arbitrary<Entity> {
	return fc
		.tuple(fields, options)
		.map(([shape, chosen]) => toEntity(tableName, shape, chosen));
}

type Fields = typeof fields extends fc.Arbitrary<infer T> ? T : never;
type Options = typeof options extends fc.Arbitrary<infer T> ? T : never;

function toEntity(
	tableName: string,
	shape: Fields,
	{ keySize, indexed, unique, ...flags }: Options,
): Entity {
	const names = Object.keys(shape);
	const indexable = names.filter((name) => shape[name]?.type !== "json");
	const keys = names
		.filter((name) => keyTypes.includes(shape[name]?.type ?? ""))
		.slice(0, keySize);
	return defineEntity(
		tableName,
		Object.fromEntries(
			Object.entries(shape).map(([name, one]) => [name, toZod(one)]),
		),
		{
			entityKeyField: keys.length === 0 ? null : keys,
			tenantScoped: flags.tenantScoped,
			createEmbeddings: flags.createEmbeddings,
			createKvTrigger: flags.createKvTrigger && keys.length > 0,
			indexes: indexable.slice(0, indexed).map((name) => [name]),
			unique:
				unique === 0
					? []
					: [indexable.slice(-unique)].filter((n) => n.length > 0),
		},
	);
}

function toZod({ type, presence, embed }: Fields[string]): z.ZodType {
	const [schema, value] = types[type];
	const isText = type === "text" || type === "state";
	const base: z.ZodType =
		embed === undefined || !isText ? schema : schema.meta({ embed });
	if (presence === "optional") return base.optional();
	return presence === "default" && value !== undefined
		? base.default(value)
		: base;
}
