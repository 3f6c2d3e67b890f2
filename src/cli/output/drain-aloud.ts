import type { AnyService } from "../open-service.ts";
import { about, progressOf } from "./index-progress.ts";
import type { Terminal } from "./terminal.ts";

const lookEveryMs = 500;

/** Builds what is queued, so many indexes, with a progress bar. */
export async function drainAloud(
	terminal: Terminal,
	service: AnyService,
	count: number,
): Promise<void> {
	const progress = terminal.progress("indexes", count * 100);
	const look = async () => {
		const { indexes } = await service.indexer.status();
		const building = indexes.filter(({ state }) => state === "building");
		const open = indexes.filter(({ state }) => state === "queued");
		const percent = building.reduce(
			(sum, { percent }) => sum + (percent ?? 0),
			0,
		);
		const done = count - building.length - open.length;
		const [first] = building;
		progress.update(
			Math.max(0, done * 100 + percent),
			first === undefined
				? `${Math.max(0, done)} of ${count}`
				: [first.indexName, progressOf(first), about(first)].join("  "),
		);
	};
	let looking = Promise.resolve();
	const timer = setInterval(() => {
		looking = looking.then(look).catch(() => {
			// The build itself tells what is wrong.
		});
	}, lookEveryMs);
	try {
		await service.indexer.drain();
	} finally {
		clearInterval(timer);
		await looking;
		progress.stop();
	}
}
