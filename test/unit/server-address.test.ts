import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/config.ts";
import { RemError } from "../../src/errors.ts";
import { parameterNames } from "../../src/settings/address-parameters.ts";
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
		["postgresql://u:p@::1:5432/d", /IPv6/, /\[::1\]:5432/],
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
		["postgresql://u:p@h/d?ssl=no-verify", /ssl/, /sslmode=require/],
		["postgresql://u:p@h/d?foo=bar", /"foo"/, /leave it out/],
		["postgresql://u:p@h/d?lock_timeout=1&lock_timeout=2", /twice/, /once/],
		["postgresql://u:p@h/d\n", /line end/, /remove/],
		["postgresql://u:p@h\t/d", /line end/, /remove/],
		["postgresql://u:p@h/d%00", /control/, /remove/],
		[" postgresql://u:p@h/d", /white space/, /remove/],
		["postgresql://u:p@h/d ", /white space/, /remove/],
		["POSTGRESQL://u:p@h/d", /capitals/, /lower case/],
		["postgresql://u:p@%zz/d", /host/, /%25/],
		["postgresql://u:p@[fe80::1%25eth0]/d", /zone/, /POSTGRES__HOST/],
		["postgresql://u:p@h:/d?port=0", /port/, /port/],
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
		// What does not even begin as an address is named by the variable.
		const begins = /^postgres(ql)?:/.test(url);
		expect(errorOf({}, { DATABASE_URL: url }).message).toMatch(
			begins ? error.message : /^DATABASE_URL: /,
		);
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
	"postgresql://",
	"postgres://u@/d",
	"postgresql://u:p@h:/d",
	"postgresql://u:p@h/d?connect_timeout=5&statement_timeout=1000&lock_timeout=0",
	"postgresql://u:p@h/d?keepalives=1&gssencmode=prefer&target_session_attrs=any",
	"postgresql://u:p@h/d?host=/nope",
	"postgresql://u:p@h/d?schema=public&pgbouncer=true",
	"postgresql://u:p@h/d?options=-c%20search_path%3Da",
])("%s is an address", (connectionString) => {
	expect(settingsOf({ connectionString }).database).toEqual({
		kind: "server",
		address: { connectionString },
	});
});

/** What each refused parameter, or value, is answered with. */
const refusedParameters: readonly (readonly [query: string, hint: RegExp])[] = [
	["target_session_attrs=read-write", /readHost/],
	["target_session_attrs=standby", /readHost/],
	["channel_binding=always", /disable, prefer, require/],
	["connect_timeout=abc", /1 to 3600/],
	["connect_timeout=0", /1 to 3600/],
	["connect_timeout=-1", /1 to 3600/],
	["connect_timeout=1.5", /1 to 3600/],
	["statement_timeout=abc", /milliseconds/],
	["statement_timeout=5s", /milliseconds/],
	["lock_timeout=99999999999", /2147483647/],
	["keepalives=0", /TCP/],
	["keepalives_idle=5", /10 seconds/],
	["keepalives_interval=5", /sysctl/],
	["keepalives_count=5", /sysctl/],
	["tcp_user_timeout=5", /sysctl/],
	["gssencmode=require", /sslmode/],
	["krbsrvname=x", /Kerberos/],
	["require_auth=scram-sha-256", /pg_hba/],
	["passfile=/x", /PGPASSFILE/],
	["service=x", /service files/],
	["hostaddr=10.0.0.1", /host/],
	["client_encoding=latin1", /UTF8/],
	["replication=database", /statements/],
	["query_timeout=5", /queryTimeoutMs/],
	["sslcrl=/x", /revoked/],
	["sslsni=0", /always/],
	["sslnegotiation=direct", /PostgreSQL/],
	["ssl_min_protocol_version=TLSv1.3", /tls-min/],
	["schema=tenant", /POSTGRES__SCHEMA/],
	["connection_limit=5", /poolSize/],
	["pgbouncer=maybe", /poolers/],
	["fallback_application_name=x", /application_name/],
];

test.each(refusedParameters)(
	"the parameter %s is refused by name, with the remedy",
	(query, remedy) => {
		const [name = "", value = ""] = query.split("=");
		const error = errorOf({
			connectionString: `postgresql://u:s3cret@h/d?${query}`,
		});
		expect(error.code).toBe("CONFIG_INVALID");
		expect(error.message).toContain(`"${name}"`);
		expect(error.hint).toMatch(remedy);
		const texts = `${error.message} ${error.hint}`;
		expect(texts).not.toContain("s3cret");
		if (value.length > 8) expect(error.message).not.toContain(value);
	},
);

test("every parameter with a rule takes or refuses any value, and repeats none", () => {
	for (const name of parameterNames)
		for (const value of [
			"",
			"canary",
			"0",
			"1",
			"%F0%9F%90%A4",
			"x".repeat(5000),
		]) {
			const url = `postgresql://u:s3cret@h/d?${name}=${value}`;
			try {
				settingsOf({ connectionString: url });
			} catch (error) {
				expect(error).toBeInstanceOf(RemError);
				expect(JSON.stringify(error)).not.toMatch(/canary|s3cret|xxxxx/);
			}
		}
});

test("connect_timeout goes before the environment's, and behind the option", () => {
	const connectionString = "postgresql://h/d?connect_timeout=7";
	const variables = { POSTGRES__CONNECT_TIMEOUT_MS: "5" };
	expect(settingsOf({ connectionString }, variables).connectTimeoutMs).toBe(
		7000,
	);
	expect(
		settingsOf({ connectionString, connectTimeoutMs: 3 }, variables)
			.connectTimeoutMs,
	).toBe(3);
});

const refusedFolders: readonly (readonly [
	url: string,
	part: RegExp,
	hint: RegExp,
])[] = [
	["file:", /no path/, /file:/],
	["file:   ", /no path/, /file:/],
	["file://", /no path/, /file:/],
	["file:a\0", /control/, /file:/],
	["file:%00", /control/, /file:/],
	["file:a\n", /white space/, /file:/],
	["file: a", /white space/, /file:/],
	["file:~/x", /"~"/, /whole path/],
	["file:~me/x", /"~"/, /whole path/],
	["file://host/x", /host/, /file:\/PATH/],
	["file://x", /host/, /file:PATH/],
	["file:///x?y#z", /"\?" or "#"/, /%3F/],
	["file:x#z", /"\?" or "#"/, /%23/],
	["file:%zz", /"%"/, /%25/],
	["FILE:x", /capitals/, /lower case/],
	["memory:x", /memory:/, /file:PATH/],
	["memory:///", /memory:/, /file:PATH/],
	["memory://?x=y", /memory:/, /file:PATH/],
	["Memory:", /memory:/, /write memory:/],
	[":memory:", /unknown form/, /memory:/],
	["memory", /unknown form/, /memory:/],
	["", /unknown form/, /memory:/],
	["./data", /unknown form/, /^did you mean file:\.\/data\? expected/],
	["/var/lib/mem", /unknown form/, /^did you mean file:\/var\/lib\/mem\?/],
	["user:secret@host/films", /unknown form/, /^expected postgresql/],
];

test.each(refusedFolders)("%j is no embedded database", (url, part, hint) => {
	const error = errorOf({ connectionString: url });
	expect(error.code).toBe("CONFIG_INVALID");
	expect(error.message).toMatch(part);
	expect(error.hint).toMatch(hint);
});

test.each([
	["file:../x", "../x"],
	["file:a/../b", "a/../b"],
	["file://./x", "./x"],
	["file:what%3F%23", "what?#"],
	["file:/tmp/a b", "/tmp/a b"],
])("%s is a folder", (connectionString, folder) => {
	expect(settingsOf({ connectionString }).database).toEqual({
		kind: "embedded",
		folder,
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
