/**
 * Migrates and prints on stdout what it begins: to be killed at any moment.
 *
 *     jiti migrate-child.ts URL FOLDER
 */
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";

const [connectionString = "", migrations = ""] = process.argv.slice(2);

const Note = defineEntity(
	"notes",
	{ name: z.string(), year: z.int().optional() },
	{ entityKeyField: "name" },
);

const service = await PostgresService.connect({
	connectionString,
	models: [Note],
	embedding: { provider: "local", dimensions: 8 },
});
await service.migrate({
	migrations,
	onProgress: (progress) => console.log(JSON.stringify(progress)),
});
await service.close();
