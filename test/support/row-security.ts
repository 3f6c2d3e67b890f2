import { directoryRightsDdl } from "../../src/buckets/directory.ts";
import type { Entity, PostgresService, RemError } from "../../src/index.ts";
import { generatedSchema } from "../../src/schema/files.ts";
import { toText } from "../../src/sql.ts";
import { schemas } from "./schemas.ts";

type Role = "rem_app" | "rem_ro" | "rem_owner";

interface Db {
	readonly service: PostgresService<never>;
	readonly url: string;
}

/** Sets row level security up, as the generated schema does, with buckets in each of them. */
export async function setUpRowSecurity(
	{ service }: Pick<Db, "service">,
	models: readonly Entity[],
): Promise<void> {
	for (const schema of schemas)
		await applied(
			service,
			generatedSchema(models, "a test", { schema, rowSecurity: true }),
		);
	if (!schemas.includes("public"))
		await service.execute(toText(directoryRightsDdl("public")));
}

/** Again after a deadlock with a check of indexes in the background: the text locks table after table. */
async function applied(
	service: Db["service"],
	text: string,
	attempts = 5,
): Promise<void> {
	await service.execute(text).catch((error: RemError) => {
		if (error.sqlState !== "40P01" || attempts === 1) throw error;
		return applied(service, text, attempts - 1);
	});
}

/** Sets row level security up, and makes a login of the role; `drop` it at the end. */
export async function login(
	db: Db,
	models: readonly Entity[],
	role: Role,
): Promise<{ name: string; url: string; drop(): Promise<void> }> {
	const name = `rem_test_${process.pid}_${Date.now()}_${++logins}`;
	await setUpRowSecurity(db, models);
	await db.service.execute(
		`CREATE ROLE ${name} LOGIN PASSWORD 'secret' IN ROLE ${role}`,
	);
	const url = new URL(db.url);
	url.username = name;
	url.password = "secret";
	return {
		name,
		url: url.href,
		drop: async () => {
			await db.service.execute(`DROP OWNED BY ${name}; DROP ROLE ${name}`);
		},
	};
}

let logins = 0;
