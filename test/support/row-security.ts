import { bucketSchemas } from "../../src/buckets/bucket-names.ts";
import { directoryRightsDdl } from "../../src/buckets/directory.ts";
import type { Entity, PostgresService } from "../../src/index.ts";
import { generatedSchema } from "../../src/schema/files.ts";
import { toText } from "../../src/sql.ts";

const { POSTGRES__BUCKETS: buckets } = process.env;
const schemas =
	buckets === undefined ? ["public"] : bucketSchemas("public", Number(buckets));

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
	for (const schema of schemas)
		await db.service.execute(
			generatedSchema(models, "a test", { schema, rowSecurity: true }),
		);
	if (buckets !== undefined)
		await db.service.execute(toText(directoryRightsDdl("public")));
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
