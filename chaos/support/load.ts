import { PostgresService } from "../../src/index.ts";
import { act, type Stage } from "./actors.ts";
import { models } from "./items.ts";
import { compareWhole, readAndCompare } from "./reader.ts";
import type { Tally } from "./tally.ts";
import { Writer, type WriterOptions } from "./writer.ts";

type Service = PostgresService<typeof models>;

/** Where the load goes: the server, and a pooler in front of it where there is one. */
export interface LoadTarget {
	readonly url: string;
	readonly poolerUrl?: string | undefined;
}

export interface Load {
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
	let isOver = false;
	let failure: unknown;
	const stage: Stage = {
		isOver: () => isOver,
		fail: (error) => {
			failure = error;
			isOver = true;
		},
	};
	const service = await connect(url);
	const running = act(stage, async () => {
		await readAndCompare(service, tally, true);
		tally.count("snapshots read on a standby and over its promotion");
	});
	return {
		async stop() {
			isOver = true;
			await running;
			await service.close();
			if (failure !== undefined) throw failure;
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
	let isOver = false;
	let failure: unknown;
	const stage: Stage = {
		isOver: () => isOver,
		fail: (error) => {
			failure ??= error;
			isOver = true;
		},
	};
	const pooled = target.poolerUrl ?? target.url;
	const services: Service[] = [];
	const open = async (url: string) => {
		const service = await connect(url);
		services.push(service);
		return service;
	};
	const scribes: Writer[] = [];
	const running: Promise<void>[] = [];
	for (const [index, options] of writers.entries()) {
		const service = await open(index % 2 === 0 ? target.url : pooled);
		const writer = new Writer(service, options, tally);
		scribes.push(writer);
		running.push(act(stage, () => writer.step()));
	}
	for (const url of [target.url, pooled]) {
		const reader = await open(url);
		running.push(act(stage, () => readAndCompare(reader, tally)));
		const rebuilder = await open(url);
		running.push(
			act(
				stage,
				async () => {
					if ((await rebuilder.kv.status()).ready) return;
					await rebuilder.kv.rebuild();
					tally.count("rebuilds that ended");
				},
				20,
			),
		);
	}
	const checker = await open(target.url);
	running.push(act(stage, () => compareWhole(checker, tally), 20));
	return {
		async finish() {
			isOver = true;
			await Promise.all(running);
			try {
				if (failure !== undefined) throw failure;
				for (const scribe of scribes) await scribe.expectAll();
				await expectWhole(checker, tally);
			} finally {
				for (const service of services) await service.close();
			}
		},
	};
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
