// Opens the database of the argument, prints that it is open, and closes it.
import { PostgresService } from "remdb";

const service = await PostgresService.connect({
	connectionString: process.argv[2],
});
process.stdout.write("open\n");
await service.close();
