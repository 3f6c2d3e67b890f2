import { PostgresService, RemError, Repository, Resource } from "remdb";
import { Resources, takes } from "./takes.cjs";

const service = await PostgresService.connect({ connectionString: "memory:" });
const resources: Repository<typeof Resource> = new Resources(Resource, service);
await takes(service, resources, new RemError("VALIDATION", "no"));
await takes(
	service,
	new Repository(Resource, service),
	new RemError("VALIDATION", "no"),
);
