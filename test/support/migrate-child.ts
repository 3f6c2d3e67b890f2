/**
 * Migrates and prints on stdout what it begins: to be killed at any moment. With
 * POSTGRES__BUCKETS it migrates the models of buckets, into all of them.
 *
 *     jiti migrate-child.ts URL FOLDER
 */
import { PostgresService } from "../../src/index.ts";
import { Note, ofBuckets } from "./migrated-models.ts";

const [connectionString = "", migrations = ""] = process.argv.slice(2);

const service = await PostgresService.connect({
	connectionString,
	models: process.env.POSTGRES__BUCKETS === undefined ? [Note] : ofBuckets,
	embedding: { provider: "local", dimensions: 8 },
});
await service.migrate({
	migrations,
	onProgress: (progress) => console.log(JSON.stringify(progress)),
});
await service.close();
