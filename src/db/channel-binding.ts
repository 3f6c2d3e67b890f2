import type pg from "pg";
import { RemError } from "../errors.ts";
import { internalsOf } from "./driver.ts";

/** Of an address; libpq's default is `prefer`, the driver's `disable`. */
export type ChannelBinding = "disable" | "prefer" | "require";

/** The channel binding that an address names. */
export function channelBindingOf(
	connectionString: string,
): ChannelBinding | undefined {
	const at = connectionString.indexOf("?");
	if (at < 0) return undefined;
	const given = new URLSearchParams(connectionString.slice(at));
	const value = given.get("channel_binding")?.toLowerCase();
	return value === "prefer" || value === "require" ? value : undefined;
}

/**
 * Before the client connects: without the mechanism that proves that both ends
 * are of the same TLS connection, no answer to the server is sent. The driver
 * itself continues with whatever the server asks for.
 */
export function requireChannelBinding(client: pg.ClientBase): void {
	const { connection } = internalsOf(client);
	// Offered first, and proven by the server's signature at the end.
	let isOffered = false;
	let isProven = false;
	const refuseUnless = (isRight: boolean) => {
		if (!isRight) connection.stream.destroy(unbound());
	};
	connection.on(
		"authenticationSASL",
		({ mechanisms }: { readonly mechanisms: readonly string[] }) => {
			isOffered = mechanisms.includes("SCRAM-SHA-256-PLUS");
			refuseUnless(isOffered);
		},
	);
	connection.on("authenticationSASLFinal", () => {
		isProven = isOffered;
	});
	for (const other of ["CleartextPassword", "MD5Password", "Ok"])
		connection.on(`authentication${other}`, () => refuseUnless(isProven));
}

/** Without TLS there is nothing that the password could be bound to. */
export function refuseWithoutTls(ssl: pg.ClientConfig["ssl"]): void {
	if (ssl !== undefined && ssl !== false) return;
	throw new RemError(
		"CONFIG_INVALID",
		"the connection string has channel_binding=require, and the connection no TLS",
		{
			hint: "add sslmode=require, or verify-full (a socket of this machine has no TLS), or leave channel_binding=require out",
		},
	);
}

function unbound(): RemError {
	return new RemError(
		"CONNECTION_FAILED",
		"the server offers no channel binding, which the address requires",
		{
			hint: "connect with sslmode=require and a password of scram-sha-256, or leave channel_binding=require out",
		},
	);
}
