import {
	coreEntities,
	PostgresService,
	RemError,
	Repository,
	type Resource,
	type Row,
} from "remdb";

export class Resources extends Repository<typeof Resource> {}

export async function takes(
	service: PostgresService,
	resources: Repository<typeof Resource>,
	error: RemError,
): Promise<Row<typeof Resource> | undefined> {
	const models: readonly unknown[] = coreEntities;
	if (!(error instanceof RemError) || models.length === 0) return undefined;
	if (service instanceof PostgresService) await service.close();
	return resources.getById(error.hint ?? "");
}
