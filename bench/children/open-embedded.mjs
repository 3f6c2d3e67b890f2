// Opens the embedded database in a folder and says how long that took.
import { PostgresService } from "remdb";

const [folder] = process.argv.slice(2);
const started = performance.now();
const service = await PostgresService.connect({
	connectionString: `file:${folder}`,
});
const ms = performance.now() - started;
await service.migrate();
await service.close();
console.log(JSON.stringify({ ms }));
