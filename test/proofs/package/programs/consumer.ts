import {
	defineEntity,
	type NewRow,
	PostgresService,
	RemError,
	Repository,
	type Row,
	sql,
} from "remdb";
import * as z from "zod";

const Place = defineEntity(
	"places",
	{ name: z.string(), content: z.string(), year: z.number().int().optional() },
	{ entityKeyField: "name" },
);

export async function main(): Promise<Row<typeof Place> | undefined> {
	const service = await PostgresService.connect({
		connectionString: "memory:",
		models: [Place],
	});
	const river: NewRow<typeof Place> = { name: "river", content: "Water" };
	const { ids } = await service.batchUpsert({
		tableName: "places",
		entities: [river],
		tenantId: "acme",
	});
	const places = new Repository(Place, service);
	const bytes = new Uint8Array([1, 2, 3]);
	const statement = sql`SELECT ${bytes}, ${1}, ${"text"}`;
	await service.execute("SELECT $1::bytea", [bytes]);
	const [near] = await service.vectorSearch({
		tableName: "places",
		queryText: "water",
		fieldName: "content",
		where: { year: { gte: 1990 } },
	});
	const year: number | null | undefined = near?.year;
	// @ts-expect-error a field of another type
	const wrong: string | undefined = near?.year;
	await service
		.scope({ tenantId: "acme" })
		.lookupEntity({ entityKey: "river" });
	await service.transaction(async (tx) => tx.query(statement));
	try {
		await service.close();
	} catch (error) {
		if (error instanceof RemError) return undefined;
	}
	void [year, wrong, places.tableName];
	return places.getById(ids[0] ?? "", "acme");
}
