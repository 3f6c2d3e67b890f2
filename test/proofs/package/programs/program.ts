import { defineEntity, PostgresService } from "remdb";
import * as z from "zod";

const Place = defineEntity(
	"places",
	{ name: z.string(), content: z.string(), year: z.number().int().optional() },
	{ entityKeyField: "name" },
);

async function main(): Promise<void> {
	const service = await PostgresService.connect({
		models: [Place],
		embedding: { provider: "local" },
	});
	await service.migrate();
	await service.batchUpsert({
		tableName: "places",
		entities: [{ name: "river", content: "Water that flows", year: 2000 }],
		tenantId: "acme",
	});
	const hit = await service.lookupEntity({
		entityKey: "River",
		tenantId: "acme",
	});
	const found = await service.query(
		'SEARCH "water" IN places WHERE year > 1999',
		{ tenantId: "acme" },
	);
	console.log(hit?.entityKey, found.kind === "search" && found.rows.length);
	await service.close();
}

main().catch((error: unknown) => {
	console.error(error);
	process.exitCode = 1;
});
