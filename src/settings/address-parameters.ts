import { quoted, suggest } from "../util/suggest.ts";

/** Why a parameter of an address is refused, and what to write instead. */
export interface ParameterProblem {
	readonly problem: string;
	readonly hint: string;
}

/** A hint: no value is taken; else why this one cannot be, and `undefined` where it is honoured. */
type Rule = string | ((value: string) => string | undefined);

const honoured: Rule = () => undefined;

/** Only the values that describe what happens in any case. */
function only(values: readonly string[], hint: string): Rule {
	return (value) => (values.includes(value.toLowerCase()) ? undefined : hint);
}

function wholeNumber(minimum: number, maximum: number, unit: string): Rule {
	return (value) =>
		/^\d{1,10}$/.test(value) &&
		Number(value) >= minimum &&
		Number(value) <= maximum
			? undefined
			: `expected ${unit} as a whole number from ${minimum} to ${maximum}`;
}

const milliseconds = wholeNumber(0, 2_147_483_647, "milliseconds");
const ofMachine = "leave it out, and set it for this machine (sysctl net.ipv4)";
const noKerberos = "leave it out: GSSAPI and Kerberos are not supported";
const verifyFull = "sslmode=verify-full with sslrootcert=FILE";

/**
 * Every parameter there is: those of libpq, of the driver and, to name their
 * counterparts here, of other programs that read the same address.
 */
const parameters: Readonly<Record<string, Rule>> = {
	host: honoured,
	port: honoured,
	user: honoured,
	password: honoured,
	application_name: honoured,
	options: honoured,
	sslmode: honoured,
	sslrootcert: honoured,
	sslcert: honoured,
	sslkey: honoured,
	ssl: honoured,
	uselibpqcompat: honoured,
	statement_timeout: milliseconds,
	lock_timeout: milliseconds,
	idle_in_transaction_session_timeout: milliseconds,
	connect_timeout: wholeNumber(1, 3600, "seconds"),
	channel_binding: only(
		["disable", "prefer", "require"],
		"one of disable, prefer, require",
	),
	client_encoding: only(
		["utf8", "utf-8", "auto"],
		"leave it out: every connection uses UTF8",
	),
	target_session_attrs: only(
		["any"],
		"leave it out and give the primary's address; a replica for reads is the option readHost, or POSTGRES__READ_HOST",
	),
	load_balance_hosts: only(["disable"], "leave it out, and name one host"),
	keepalives: only(
		["1"],
		"leave it out: every connection uses TCP keepalives, after 10 seconds without data",
	),
	keepalives_idle: only(
		["10"],
		"leave it out: the first probe is sent after 10 seconds without data",
	),
	keepalives_interval: ofMachine,
	keepalives_count: ofMachine,
	tcp_user_timeout: ofMachine,
	gssencmode: only(["disable", "prefer"], `${noKerberos}; use ${verifyFull}`),
	krbsrvname: noKerberos,
	gsslib: noKerberos,
	gssdelegation: noKerberos,
	require_auth: `leave it out: the server's pg_hba.conf decides the method; ${verifyFull} makes sure which server it is`,
	require_peer: `leave it out; ${verifyFull} checks the server`,
	requirepeer: `leave it out; ${verifyFull} checks the server`,
	hostaddr: "write the address in the place of the host",
	passfile:
		"leave it out, and set PGPASSFILE, or POSTGRES__PASSWORD with POSTGRES__HOST",
	service:
		"service files are not read: write host, port, database and user into the address",
	servicefile:
		"service files are not read: write host, port, database and user into the address",
	fallback_application_name: "write application_name",
	replication: only(
		["false", "off", "no", "0"],
		"leave it out: a replication connection runs no statements",
	),
	query_timeout:
		"leave it out, and set the option queryTimeoutMs, or POSTGRES__QUERY_TIMEOUT_MS",
	sslpassword: "leave it out, and give sslkey a file whose key has no password",
	sslcrl: "leave it out: lists of revoked certificates are not read",
	sslcrldir: "leave it out: lists of revoked certificates are not read",
	sslsni: only(["1"], "leave it out: the name of the host is sent always"),
	sslcompression: only(["0"], "leave it out: TLS is not compressed"),
	sslnegotiation: only(
		["postgres"],
		"leave it out: TLS is requested as PostgreSQL does it",
	),
	sslcertmode: only(
		["allow"],
		"leave it out: a certificate is sent where sslcert names one",
	),
	sslkeylogfile: "leave it out, and set NODE_OPTIONS=--tls-keylog=FILE",
	ssl_min_protocol_version: only(
		["tlsv1.2"],
		"leave it out, and set NODE_OPTIONS=--tls-min-v1.3",
	),
	ssl_max_protocol_version: "leave it out, and set NODE_OPTIONS=--tls-max-v1.2",
	dbname: "the database's name is in the path: …@host/name",
	database: "the database's name is in the path: …@host/name",
	tenant_id: "pass tenantId to the calls, or set POSTGRES__DEFAULT_TENANT",
	// As many tools write it; the schema that is used in any case.
	schema: only(
		["public"],
		"leave it out, and set the option schema, or POSTGRES__SCHEMA",
	),
	search_path: "leave it out, and set the option schema, or POSTGRES__SCHEMA",
	connection_limit:
		"leave it out, and set the option poolSize, or POSTGRES__POOL_SIZE",
	pool_timeout:
		"leave it out, and set the option connectTimeoutMs, or POSTGRES__CONNECT_TIMEOUT_MS",
	socket_timeout:
		"leave it out, and set the option queryTimeoutMs, or POSTGRES__QUERY_TIMEOUT_MS",
	pgbouncer: only(["true", "false"], "leave it out: poolers need no setting"),
	statement_cache_size: "leave it out",
	sslaccept: "leave it out, and write sslmode=require or verify-full",
};

const names = Object.keys(parameters);

/** What is wrong with a parameter; its value is not repeated. */
export function parameterProblem(
	name: string,
	value: string,
): ParameterProblem | undefined {
	const rule = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
	if (rule === undefined) return unknownParameter(name);
	if (typeof rule === "string")
		return {
			problem: `has the parameter ${quoted(name)}, which is not supported`,
			hint: rule,
		};
	const hint = rule(value);
	if (hint === undefined) return undefined;
	return {
		problem: `has the parameter ${quoted(name)} with a value that is not supported`,
		hint,
	};
}

function unknownParameter(name: string): ParameterProblem {
	if (/^ssl/i.test(name))
		return {
			problem: "has an unknown parameter for TLS",
			hint: "parameters: sslmode, sslrootcert, sslcert, sslkey",
		};
	const nearest = suggest(name, names);
	return {
		// A part of a password may be here: only what can be a name is repeated.
		problem: /^\w{1,63}$/.test(name)
			? `has an unknown parameter ${quoted(name)}`
			: "has an unknown parameter",
		hint: nearest?.startsWith("did you mean")
			? nearest
			: "leave it out: docs/configuration.md lists the parameters",
	};
}

/** Every parameter that has a rule. */
export const parameterNames: readonly string[] = names;
