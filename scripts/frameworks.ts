// The examples of docs/nextjs.md, docs/studio.md, docs/vite.md and docs/serverless.md, as they stand in
// the page, in an empty project with the packed package: each is started, asked, changed and asked again.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
	appendFileSync,
	mkdirSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const docs = join(import.meta.dirname, "../docs");

interface Project {
	/** Where the package and the frameworks are installed. */
	readonly folder: string;
	readonly env: NodeJS.ProcessEnv;
}

/** What the project needs besides the package. */
export const frameworkPackages = [
	"next@16",
	"react@19",
	"react-dom@19",
	"typescript@6",
	"@types/node@24",
	"@types/react@19",
	"vite@8",
	"esbuild@0.28",
	"hono@4",
	"@hono/node-server@1",
	"express@5",
];

/** Each example that is tried. It throws an error that says what went wrong. */
export const frameworkExamples: Readonly<
	Record<string, (project: Project) => Promise<void>>
> = {
	async "Next.js"(project) {
		writeExample("nextjs.md", project);
		writeExample("studio.md", project);
		write(
			project,
			"app/layout.tsx",
			'export default function Layout({ children }: { children: React.ReactNode }) { return <html lang="en"><body>{children}</body></html>; }\n',
		);
		const next = "node_modules/next/dist/bin/next";
		const ask = async (url: string) => {
			const name = `Payments ${url}`;
			const content = "Invoices move to the new ledger in May";
			const body = JSON.stringify({ name, content });
			const headers = { "content-type": "application/json" };
			const api = `${url}/api/recall`;
			await json(api, { method: "POST", headers, body });
			const items = await json(`${api}?q=when+do+invoices+move`);
			if (!JSON.stringify(items).includes(content))
				throw new Error(`recall gave ${JSON.stringify(items)}`);
		};
		const askAll = async (url: string) => {
			await ask(url);
			await askStudio(url);
		};
		await serve(project, [next, "dev", "--port"], async (url) => {
			await askAll(url);
			append(project, "lib/memory.ts", "\n// changed\n");
			await askAll(url);
		});
		await run(process.execPath, [next, "build"], options(project));
		await serve(project, [next, "start", "--port"], askAll);
	},

	async "the studio in Hono"(project) {
		writeExample("studio.md", project);
		await serve(project, ["hono.mjs"], askStudio);
	},

	async "the studio in Express"(project) {
		writeExample("studio.md", project);
		await serve(project, ["express.mjs"], askStudio);
	},

	async Vite(project) {
		writeExample("vite.md", project);
		const ask = async (url: string) => {
			const answer = await json(url);
			if (JSON.stringify(answer) !== '{"items":[],"omitted":0,"tokens":0}')
				throw new Error(`it answered ${JSON.stringify(answer)}`);
		};
		const vite = "node_modules/vite/bin/vite.js";
		await serve(
			project,
			[vite, "--host", "127.0.0.1", "--port"],
			async (url) => {
				await ask(`${url}/api/?q=payments`);
				append(project, "src/memory.ts", "\n// changed\n");
				await ask(`${url}/api/?q=payments`);
			},
		);
		await run(process.execPath, [vite, "build"], options(project));
		await serve(project, ["dist/server.js"], (url) =>
			ask(`${url}/?q=payments`),
		);
	},

	async serverless(project) {
		writeExample("serverless.md", project);
		const bundle = /^npx esbuild ((?:.*\\\n)*.*)$/m.exec(page("serverless.md"));
		const args = bundle?.[1]?.replaceAll("\\\n", " ").split(/\s+/) ?? [];
		await run(
			join(project.folder, "node_modules/.bin/esbuild"),
			args,
			options(project),
		);
		write(
			project,
			"call.mjs",
			`import { PostgresService } from "remdb";
import { handler } from "./dist/handler.mjs";
const service = await PostgresService.connect();
await service.migrate();
const entities = [{ name: "Payments", content: "Invoices move to the new ledger" }];
await service.batchUpsert({ tableName: "resources", tenantId: "acme", entities });
const call = () => handler({ query: "when do invoices move", tenantId: "acme" });
if ((await call()).length !== 1) throw new Error("nothing was recalled");
await service.execute(\`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid()\`);
if ((await call()).length !== 1) throw new Error("nothing was recalled after the pause");
process.exit();
`,
		);
		await run(process.execPath, ["call.mjs"], options(project));
	},
};

const studioHeaders = { "x-role": "admin" };

/** The studio's page, its script, a read, a search and the stream, and what a stranger gets. */
async function askStudio(url: string): Promise<void> {
	const base = `${url}/studio/`;
	const ask = (path: string, init: RequestInit = {}) =>
		fetch(base + path, {
			...init,
			headers: { ...studioHeaders, ...init.headers },
			signal: AbortSignal.timeout(120_000),
		});
	const page = await ask("");
	const html = await page.text();
	const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(html)?.[1] ?? "";
	if (!page.ok || script === "")
		throw new Error(`the page: ${page.status} ${html.slice(0, 500)}`);
	const module = await ask(script);
	const type = module.headers.get("content-type") ?? "";
	await module.text();
	if (!module.ok || !type.includes("javascript"))
		throw new Error(`${script}: ${module.status} ${type}`);
	const typed = await fetch(`${url}/studio`, { headers: studioHeaders });
	await typed.text();
	if (typed.url !== base) throw new Error(`/studio leads to ${typed.url}`);
	const described = await (await ask("api/bootstrap")).text();
	if (!described.includes('"acme"'))
		throw new Error(`bootstrap gave ${described}`);
	const search = await ask("api/search", {
		method: "POST",
		headers: { "content-type": "application/json", "x-rem-studio": "1" },
		body: JSON.stringify({ query: "ledger", explain: true }),
	});
	const found = await search.text();
	if (!found.startsWith('{"mode":"recall"'))
		throw new Error(`search gave ${found}`);
	const events = (await ask("api/events")).body?.getReader();
	const { value } = (await events?.read()) ?? {};
	await events?.cancel();
	const first = new TextDecoder().decode(value);
	if (!first.startsWith("event: "))
		throw new Error(`the stream began with ${JSON.stringify(first)}`);
	const stranger = await fetch(`${base}api/bootstrap`);
	await stranger.text();
	if (stranger.status !== 401)
		throw new Error(`a stranger got ${stranger.status}`);
}

/** Writes the blocks of a page that begin with the name of a file. */
function writeExample(name: string, project: Project): void {
	for (const [, path = "", code = ""] of page(name).matchAll(
		/^```(?:ts no-run|js)\n\/\/ (\S+)\n([\s\S]*?)^```$/gm,
	))
		write(project, path, code);
}

function page(name: string): string {
	return readFileSync(join(docs, name), "utf8");
}

function write({ folder }: Project, path: string, text: string): void {
	const file = join(folder, path);
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(file, text);
}

function append({ folder }: Project, path: string, text: string): void {
	appendFileSync(join(folder, path), text);
}

function options({ folder, env }: Project) {
	return { cwd: folder, env, timeout: 300_000 };
}

/** Starts a server on a free port, its last argument and PORT, and ends it after the work. */
async function serve(
	project: Project,
	args: readonly string[],
	work: (url: string) => Promise<void>,
): Promise<void> {
	const port = await freePort();
	const takesPort = args.at(-1) === "--port";
	const child = spawn(
		process.execPath,
		[...args, ...(takesPort ? [`${port}`] : [])],
		{
			cwd: project.folder,
			env: { ...project.env, PORT: `${port}` },
			detached: true, // its own children end with it
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream?.on("data", (text) => {
			output += text;
		});
	try {
		await listening(port, child);
		await work(`http://127.0.0.1:${port}`);
	} catch (error) {
		throw new Error(`${args[0]}: ${error}\n${output}`);
	} finally {
		await end(child);
	}
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.pid === undefined) return;
	const ended = new Promise((resolve) => child.once("exit", resolve));
	process.kill(-child.pid, "SIGTERM");
	await Promise.race([ended, sleep(10_000, undefined, { ref: false })]);
	if (child.exitCode === null && child.signalCode === null)
		process.kill(-child.pid, "SIGKILL");
}

async function listening(port: number, child: ChildProcess): Promise<void> {
	const limit = performance.now() + 120_000;
	for (;;) {
		if (child.exitCode !== null) throw new Error(`it ended: ${child.exitCode}`);
		const answer = await fetch(`http://127.0.0.1:${port}/nothing`).catch(
			() => undefined,
		);
		if (answer !== undefined) return;
		if (performance.now() > limit) throw new Error("it does not listen");
		await sleep(200);
	}
}

async function json(url: string, init?: RequestInit): Promise<unknown> {
	const response = await fetch(url, {
		...init,
		signal: AbortSignal.timeout(120_000),
	});
	const text = await response.text();
	if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 500)}`);
	return JSON.parse(text);
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const address = server.address();
	await new Promise((done) => server.close(done));
	if (address === null || typeof address === "string")
		throw new Error("no port is free");
	return address.port;
}
