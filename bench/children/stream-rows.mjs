// Writes rows that an iterable makes one by one. Plain JavaScript in a process of
// its own, so that only the package's memory is measured, and no transpiler's.
import { defineEntity, PostgresService } from "remdb";
import * as z from "zod";

const [url, count] = process.argv.slice(2);

const Event = defineEntity(
	"events",
	{ name: z.string(), content: z.string(), year: z.number().int() },
	{ entityKeyField: "name" },
);

async function* rows() {
	for (let index = 0; index < Number(count); index++)
		yield {
			name: `event-${index}`,
			content: `What happened in event ${index}, told in one sentence of about a hundred characters in all.`,
			year: 1990 + (index % 30),
			metadata: { source: "bench" },
		};
}

const service = await PostgresService.connect({
	connectionString: url,
	models: [Event],
});
await service.migrate();
const started = performance.now();
const result = await service.batchUpsert({
	tableName: "events",
	entities: rows(),
	generateEmbeddings: false,
});
const ms = performance.now() - started;
await service.close();
console.log(JSON.stringify({ ms, inserted: result.inserted }));
