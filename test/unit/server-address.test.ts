import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/config.ts";
import { RemError } from "../../src/errors.ts";
import { resolveSettings } from "../../src/settings/settings.ts";

const settingsOf = (
	options: object,
	variables: Readonly<Record<string, string>> = {},
) => resolveSettings(options, readEnvironment(variables));

/** Addresses that cannot be meant as they are read, the part that is named, and the remedy. */
const refused: readonly (readonly [url: string, part: RegExp, hint: RegExp])[] =
	[
		["postgresql://u:pa#ss@h/d", /"#"/, /%23/],
		["postgresql://u:12#ss@h/d", /"#"/, /%23/],
		["postgresql://u:p@h/d#1", /"#"/, /%23/],
		["postgresql://u:#@h/d", /"#"/, /%23/],
		["postgresql://u:pa/ss@h/d", /password/, /%2F/],
		["postgresql://u:12/ss@h/d", /password/, /%2F/],
		["postgresql://u:/@h/d", /password/, /%2F/],
		["postgresql://u/x:p@h/d", /user/, /%2F/],
		["postgresql://u:pa?ss@h/d", /password/, /%3F/],
		["postgresql://u:12?ss@h/d", /password/, /%3F/],
		["postgresql://u:pa?a=b@h/d", /password/, /%3F/],
		["postgresql://u:pa%ss@h/d", /password/, /%25/],
		["postgresql://u:pa%E0%A4@h/d", /password/, /%25/],
		["postgresql://u:p@h/d%zz", /database name/, /%25/],
		["postgresql://u:a b%2F@h/d", /space/, /%20/],
		["postgresql://a,b/d", /several hosts/, /READ_HOST/],
		["postgresql://u:p@a:5432,b:5433/d", /several hosts/, /READ_HOST/],
		["postgresql://u:p@/d?host=a,b", /several hosts/, /READ_HOST/],
		["postgresql://u:p@h:99999/d", /65535/, /port/],
		["postgresql://u:p@h:0/d", /port/, /port/],
		["postgresql://u:p@h:x/d", /port/, /port/],
		["postgresql://u:p@h/d?port=x", /port/, /port/],
		["postgresql://u:p@::1/d", /IPv6/, /\[::1\]/],
		["postgresql://u:p@[::1/d", /IPv6/, /\[::1\]/],
		["postgresql://u:p@[localhost]/d", /IPv6/, /\[::1\]/],
		["postgresql://u:p@h/d?dbname=other", /"dbname"/, /in the path/],
		["postgresql://u:p@h/d?database=other", /"database"/, /in the path/],
		["postgresql://u:p@h/d?tenant_id=x", /"tenant_id"/, /tenantId/],
		[
			"postgresql://u:p@h/d?aplication_name=x",
			/"aplication_name"/,
			/did you mean "application_name"/,
		],
		[
			"postgresql://u:p@h/d?statement_timout=1",
			/"statement_timout"/,
			/did you mean/,
		],
		["postgresql://u:p@h/d?ssl=false", /ssl/, /sslmode=disable/],
		["postgresql://u:p@h/d?ssl=no", /ssl/, /sslmode=disable/],
		["postgresql://u:p@h/d?ssl=require", /ssl/, /sslmode=verify-full/],
		["postgresql://u:p@h/d?sslmod=require", /TLS/, /sslmode/],
		["postgresql://u:p@h/d?sslMode=require", /TLS/, /sslmode/],
		["postgresql://u:p@h/d?options=%zz", /parameter/, /%25/],
	];

describe("an address that would be read otherwise than it is meant", () => {
	test.each(refused)("%s is refused, and its part named", (url, part, hint) => {
		const error = errorOf({ connectionString: url });
		expect(error.code).toBe("CONFIG_INVALID");
		expect(error.message).toMatch(part);
		expect(error.hint).toMatch(hint);
		for (const secret of ["pa#ss", "pa/ss", "pa?ss", "ss@", "pa%"])
			expect(`${error.message} ${error.hint}`).not.toContain(secret);
		// Of the environment, too.
		expect(errorOf({}, { DATABASE_URL: url }).message).toBe(error.message);
	});

	test.each([
		[{ POSTGRES__HOST: "[::1]" }, /^POSTGRES__HOST/, /::1/],
		[{ POSTGRES__HOST: "[::1]:5433" }, /^POSTGRES__HOST/, /POSTGRES__PORT/],
		[{ POSTGRES__HOST: "h:5433" }, /^POSTGRES__HOST/, /POSTGRES__PORT/],
		[{ POSTGRES__HOST: "a,b" }, /^POSTGRES__HOST/, /READ_HOST/],
		[
			{ POSTGRES__HOST: "postgresql://u:p@h/d" },
			/^POSTGRES__HOST/,
			/CONNECTION_STRING/,
		],
		[{ POSTGRES__HOST: "u:p@h" }, /^POSTGRES__HOST/, /name/],
		[{ POSTGRES__HOST: "h/d" }, /^POSTGRES__HOST/, /name/],
		[{ POSTGRES__HOST: " h" }, /^POSTGRES__HOST/, /name/],
		[{ POSTGRES__HOST: "h", POSTGRES__READ_HOST: "r:x" }, /READ_HOST/, /port/],
		[{ POSTGRES__HOST: "h", POSTGRES__READ_HOST: "a,b" }, /READ_HOST/, /one/],
		[
			{ POSTGRES__HOST: "h", POSTGRES__DIRECT_HOST: "[x]" },
			/DIRECT_HOST/,
			/::1/,
		],
		[
			{ POSTGRES__HOST: "h", POSTGRES__DIRECT_HOST: "postgres://x" },
			/DIRECT_HOST/,
			/./,
		],
	] as const)(
		"%j names the variable and the remedy",
		(variables, part, hint) => {
			const error = errorOf({}, variables as never);
			expect(error.code).toBe("CONFIG_INVALID");
			expect(error.message).toMatch(part);
			expect(error.hint).toMatch(hint);
		},
	);

	test("a replica's place that is none names the option", () => {
		const error = errorOf({
			connectionString: "postgresql://h/d",
			readHost: "a,b",
		});
		expect(error.message).toMatch(/^readHost/);
	});
});

test.each([
	"postgresql://h/d",
	"postgres://u@h/d",
	"postgresql://u:p@h:5433/d",
	"postgresql://u:p%23%2F%3F%40%25@h/d",
	"postgresql://u:a:b@h/d",
	"postgresql://u:a@b@h/d",
	"postgresql://u:a b@h/d",
	"postgresql://u:p@h",
	"postgresql:///d",
	"postgresql://h:5432",
	"postgresql://[::1]:5432/d",
	"postgresql://[fe80::1]/d",
	"postgresql://%2Fvar%2Frun/d",
	"postgresql://u:p@/d?host=/var/run/postgresql",
	"postgresql://h/d?application_name=me@laptop",
	"postgresql://u:p@h/d?sslmode=require&channel_binding=require",
	"postgresql://u:p@h/d?ssl=true",
	"postgresql://u:p@h/d?schema=public&connection_limit=5&pgbouncer=true",
	"postgresql://u:p@h/d?options=-c%20search_path%3Da",
])("%s is an address", (connectionString) => {
	expect(settingsOf({ connectionString }).database).toEqual({
		kind: "server",
		address: { connectionString },
	});
});

test.each([
	"h",
	"db.example",
	"10.0.0.1",
	"::1",
	"fe80::1%eth0",
	"/var/run",
	"bücher.example",
	"my_host",
])("POSTGRES__HOST=%s is a host", (host) => {
	expect(settingsOf({}, { POSTGRES__HOST: host }).database).toMatchObject({
		address: { host },
	});
});

function errorOf(
	options: object,
	variables: Readonly<Record<string, string>> = {},
): RemError {
	try {
		settingsOf(options, variables);
	} catch (error) {
		expect(error).toBeInstanceOf(RemError);
		return error as RemError;
	}
	return expect.unreachable("it did not fail");
}
