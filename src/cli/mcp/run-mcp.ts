import { randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import { readEnvironment } from "../../config.ts";
import { RemError } from "../../errors.ts";
import { anyOf, type TokenVerifier } from "../../mcp/access/access.ts";
import { checkIssuer, issuerTokens } from "../../mcp/access/issuer.ts";
import { tokenFile } from "../../mcp/access/token-file.ts";
import { oneToken, tokenList } from "../../mcp/access/token-list.ts";
import { type Identity, Memory } from "../../mcp/memory.ts";
import { serveOnStdio } from "../../mcp/stdio.ts";
import { hyphen } from "../load/input-file.ts";
import { standardInput } from "../load/source.ts";
import { type AnyService, setUpTables } from "../open-service.ts";
import type { Invocation, ScopeOptions } from "../options.ts";
import type { Terminal } from "../output/terminal.ts";
import { warnOfOtherModels } from "../undescribed-tables.ts";

/** Options of `rem mcp`. */
export interface McpCommandOptions extends ScopeOptions {
	readonly http?: number;
	readonly tokens?: string;
	readonly issuer?: string;
	readonly resource?: string;
	readonly readOnly?: boolean;
	readonly tables?: readonly string[];
	readonly surface?: "default" | "full";
	readonly maxTokens?: number;
}

export interface McpRun {
	readonly service: AnyService;
	readonly options: McpCommandOptions;
	readonly terminal: Terminal;
	readonly version: string;
	readonly invocation: Invocation;
}

/** Serves the memory until the client, or a signal, ends it. */
export async function runMcp(run: McpRun): Promise<void> {
	const { service, options, terminal, version } = run;
	await warnOfOtherModels(terminal, service, options);
	const memory = new Memory({
		service,
		version,
		isReadOnly: options.readOnly === true,
		tables: options.tables,
		surface: options.surface,
		maxTokens: options.maxTokens,
		prepare:
			service.capabilities.kind === "embedded"
				? (error) => setUpTables(terminal, service, { options, error })
				: undefined,
	});
	if (options.http === undefined) await runOnStdio(run, memory);
	else await runOnHttp(run, memory, options.http);
}

async function runOnStdio(
	{ service, options, terminal, invocation }: McpRun,
	memory: Memory,
): Promise<void> {
	const { ended, close } = serveOnStdio(memory, {
		identity: ownIdentity(service, options),
		logger: terminal.logger,
	});
	terminal.notice("serving MCP on stdin and stdout");
	await Promise.race([ended, aborted(invocation.signal)]);
	await close();
}

async function runOnHttp(
	run: McpRun,
	memory: Memory,
	port: number,
): Promise<void> {
	const { options, terminal, invocation } = run;
	const { issuer } = options;
	if (issuer !== undefined) checkIssuer(issuer);
	// A client on stdin and stdout need not wait for it.
	const [{ addressOf, HttpServing }, { listen }] = await Promise.all([
		import("../../mcp/http/http-server.ts"),
		import("../../http/http-server.ts"),
	]);
	const server = await listen({ port, option: "--http" });
	try {
		const address = addressOf(server);
		const resource = resourceAddress(options) ?? address;
		const serving = new HttpServing(server, memory, {
			verifier: await verifierOf(run, resource.href),
			resource,
			issuer,
			logger: terminal.logger,
		});
		terminal.notice(`serving MCP on ${address.href}`);
		await aborted(invocation.signal);
		terminal.notice("stopping: waiting for what is under way");
		await serving.close();
	} finally {
		server.close();
	}
}

function resourceAddress({ resource }: McpCommandOptions): URL | undefined {
	if (resource === undefined) return undefined;
	const url = URL.canParse(resource) ? new URL(resource) : undefined;
	if (url?.protocol === "https:" || url?.protocol === "http:") return url;
	throw new RemError("CONFIG_INVALID", "--resource is not an address", {
		hint: "--resource https://memory.example.com/mcp",
	});
}

/** The tokens that are named; where there are none, one that is made and printed. */
async function verifierOf(
	{ service, options, terminal }: McpRun,
	resource: string,
): Promise<TokenVerifier> {
	const { tokens, issuer, tenant } = options;
	const { MCP__TOKENS: variable } = readEnvironment();
	const verifiers: TokenVerifier[] = [];
	if (tokens === hyphen)
		verifiers.push(tokenList(await text(process.stdin), standardInput));
	else if (tokens !== undefined)
		verifiers.push(tokenFile(tokens, terminal.logger));
	else if (variable !== undefined)
		verifiers.push(tokenList(variable, "MCP__TOKENS"));
	if (issuer !== undefined)
		verifiers.push(await issuerTokens({ issuer, resource, tenantId: tenant }));
	if (verifiers.length > 0) return anyOf(verifiers);
	const token = randomBytes(24).toString("base64url");
	terminal.warn(`authorization: Bearer ${token}`);
	return oneToken(token, ownIdentity(service, options));
}

/** The memory that the command itself names. */
function ownIdentity(
	service: AnyService,
	{ tenant, user, readOnly }: McpCommandOptions,
): Identity {
	return {
		name: "command",
		tenantId: service.core.tenant(tenant),
		...(user === undefined ? {} : { userId: user }),
		isReadOnly: readOnly === true,
	};
}

function aborted(signal: AbortSignal): Promise<void> {
	if (signal.aborted) return Promise.resolve();
	return new Promise((resolve) => {
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
}
