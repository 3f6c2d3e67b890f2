import { PostgresService } from "../../src/index.ts";
import { models } from "./items.ts";
import { compareWhole, readAndCompare } from "./reader.ts";
import { Stage } from "./stage.ts";
import type { Tally } from "./tally.ts";
import { within } from "./within.ts";
import { Writer, type WriterOptions } from "./writer.ts";

type Service = PostgresService<typeof models>;

/** Where the load goes: the server, and a pooler in front of it where there is one. */
export interface LoadTarget {
	readonly url: string;
	readonly poolerUrl?: string | undefined;
}

export interface Load {
	/** Throws if something is wrong with the load itself, or stuck. */
	check(): void;
	/** Ends it, and checks what was acknowledged and the whole cache a last time. */
	finish(): Promise<void>;
}

const writers: readonly WriterOptions[] = [
	{ user: "ann", style: "service" },
	{ user: "ben", style: "sql" },
	{ user: "cid", style: "sql", isolation: "repeatable read" },
	{ user: "dot", style: "sql", isolation: "serializable" },
];

export function connect(url: string, poolSize = 2): Promise<Service> {
	return PostgresService.connect({
		connectionString: url,
		models,
		embedding: { provider: "local", dimensions: 8 },
		poolSize,
		connectTimeoutMs: 3000,
	});
}

/** A reader of its own, as of a standby, until it is told to stop. */
export async function startReader(
	url: string,
	tally: Tally,
): Promise<{ stop(): Promise<void> }> {
	const stage = new Stage();
	const service = await connect(url);
	stage.act("reader of the standby", async () => {
		await readAndCompare(service, tally, true);
		tally.count("snapshots read on a standby and over its promotion");
	});
	return {
		async stop() {
			try {
				await stage.finish();
			} finally {
				await closeAll([service]);
			}
		},
	};
}

/** Entities enough for a rebuild to last a while, so that crashes meet it. */
export async function prepare(url: string, entities: number): Promise<void> {
	const service = await connect(url);
	try {
		await service.migrate();
		await service.execute(
			"INSERT INTO items (tenant_id, name, content, rev) SELECT 'bulk', 'bulk ' || i, 'text', 0 FROM generate_series(1, $1::int) AS i",
			[String(entities)],
		);
	} finally {
		await service.close();
	}
}

/** 4 writers, 2 readers, 2 rebuilders and a checker, each with connections of its own. */
export async function startLoad(
	target: LoadTarget,
	tally: Tally,
): Promise<Load> {
	const stage = new Stage();
	const pooled = target.poolerUrl ?? target.url;
	const services: Service[] = [];
	const open = async (url: string) => {
		const service = await connect(url);
		services.push(service);
		return service;
	};
	const scribes: Writer[] = [];
	for (const [index, options] of writers.entries()) {
		const service = await open(index % 2 === 0 ? target.url : pooled);
		const writer = new Writer(service, options, tally);
		scribes.push(writer);
		stage.act(`writer ${options.user}`, () => writer.step());
	}
	for (const [index, url] of [target.url, pooled].entries()) {
		const reader = await open(url);
		stage.act(`reader ${index + 1}`, () => readAndCompare(reader, tally));
		const rebuilder = await open(url);
		stage.act(
			`rebuilder ${index + 1}`,
			async () => {
				if ((await rebuilder.kv.status()).ready) return;
				await rebuilder.kv.rebuild();
				tally.count("rebuilds that ended");
			},
			20,
		);
	}
	const checker = await open(target.url);
	stage.act("checker", () => compareWhole(checker, tally), 20);
	return {
		check: () => stage.check(),
		async finish() {
			try {
				await stage.finish();
				for (const scribe of scribes) await scribe.expectAll();
				await expectWhole(checker, tally);
			} finally {
				await closeAll(services);
			}
		},
	};
}

/** A service that does not close must not hide why the run ends. */
async function closeAll(services: readonly Service[]): Promise<void> {
	await within(
		60_000,
		() => "the load's connections do not close",
		Promise.allSettled(services.map((service) => service.close())),
	);
}

/** When all is quiet: by our comparison and by the library's own. */
async function expectWhole(service: Service, tally: Tally): Promise<void> {
	await service.kv.ensureReady();
	await compareWhole(service, tally);
	const { ready, differing, problems } = await service.kv.verify();
	if (!ready || differing > 0 || problems.length > 0)
		tally.violate(
			`verify at the end: ${JSON.stringify({ ready, differing, problems })}`,
		);
}
