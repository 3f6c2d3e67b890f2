import type { Entity, PostgresService } from "../../src/index.ts";
import { generatedSchema } from "../../src/schema/files.ts";

type Role = "rem_app" | "rem_ro" | "rem_owner";

/**
 * Sets row level security up, as the generated schema does, and makes a login of
 * the role; `drop` it at the end.
 */
export async function login(
	db: { readonly service: PostgresService<never>; readonly url: string },
	models: readonly Entity[],
	role: Role,
): Promise<{ name: string; url: string; drop(): Promise<void> }> {
	const name = `rem_test_${process.pid}_${Date.now()}_${++logins}`;
	await db.service.execute(
		generatedSchema(models, "a test", { rowSecurity: true }),
	);
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
