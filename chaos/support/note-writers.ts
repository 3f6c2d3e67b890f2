import { randomInt } from "node:crypto";
import pg from "pg";
import {
	type Handle,
	RemError,
	type TransactionOptions,
} from "../../src/index.ts";
import { isExpected } from "./expected-errors.ts";
import { type NoteService, noteName, randomText } from "./notes.ts";
import type { Tally } from "./tally.ts";

/** One change of notes; there are about `count`. */
export type NoteStep = (count: number) => Promise<unknown>;

const tenants = ["north", "south"] as const;

function randomTenant(): string {
	return tenants[randomInt(tenants.length)] as string;
}

/** Through the library: 1 to 20 notes, embedded here or, when the provider fails, queued. */
export function upsertNotes(service: NoteService, tally: Tally): NoteStep {
	return async (count) => {
		const start = randomInt(count);
		const entities = Array.from({ length: 1 + randomInt(20) }, (_, offset) => ({
			name: noteName((start + offset) % count),
			content: randomText(),
			...(randomInt(2) === 0 ? { summary: randomText() } : {}),
		}));
		const onEmbeddingError = randomInt(2) === 0 ? "fail" : "queue";
		try {
			const result = await service.batchUpsert({
				tableName: "notes",
				entities,
				tenantId: randomTenant(),
				generateEmbeddings: randomInt(5) > 0,
				onEmbeddingError,
			});
			tally.count("notes upserted", entities.length);
			tally.count("texts embedded by upserts", result.embeddingsGenerated);
			tally.count("texts queued by upserts", result.embeddingsQueued);
		} catch (error) {
			if (!(error instanceof RemError) || !error.code.startsWith("PROVIDER_"))
				throw error;
			tally.count("upserts that failed with the provider");
		}
	};
}

/** As another program: one to three changes in a transaction, now and then rolled back. */
export function changeNotes(
	service: NoteService,
	tally: Tally,
	isolation: NonNullable<TransactionOptions["isolation"]>,
): NoteStep {
	return async (count) => {
		const changes = 1 + randomInt(3);
		try {
			await service.transaction(
				async (tx) => {
					for (let change = 0; change < changes; change++)
						await changeOne(tx, count);
					if (randomInt(10) === 0) throw new RolledBack();
				},
				{ isolation },
			);
			tally.count("changes by SQL", changes);
		} catch (error) {
			if (error instanceof RolledBack) tally.count("rollbacks");
			else if (isConflict(error)) tally.count("conflicts");
			else throw error;
		}
	};
}

class RolledBack extends Error {}

/** Of the moment, or a name that is taken. */
function isConflict(error: unknown): boolean {
	const state = error instanceof RemError ? error.sqlState : undefined;
	return state === "23505" || state === "40001" || state === "40P01";
}

const changes: readonly string[] = [
	"UPDATE notes SET content = $2 WHERE id = $1",
	"UPDATE notes SET content = $2 WHERE id = $1",
	"UPDATE notes SET summary = $2, content = content || '.' WHERE id = $1",
	"UPDATE notes SET rev = rev + coalesce(length($2), 1) WHERE id = $1",
	"UPDATE notes SET summary = left($2, 0) WHERE id = $1",
	"UPDATE notes SET deleted_at = now(), content = coalesce($2, content) WHERE id = $1",
	"UPDATE notes SET deleted_at = NULL, content = coalesce($2, content) WHERE id = $1",
	"UPDATE notes SET user_id = md5($2) WHERE id = $1",
	"UPDATE notes SET tenant_id = CASE tenant_id WHEN 'north' THEN 'south' ELSE 'north' END, content = coalesce($2, content) WHERE id = $1",
	"DELETE FROM notes WHERE id = $1 AND $2 IS NOT NULL",
];

async function changeOne(tx: Handle, count: number): Promise<void> {
	const name = noteName(randomInt(count));
	const change = changes[randomInt(changes.length)] as string;
	const statement = randomInt(20) === 0 ? "INSERT" : change;
	if (statement === "INSERT") {
		await tx.query({
			text: "INSERT INTO notes (tenant_id, name, content) VALUES ($1, $2, $3)",
			values: [randomTenant(), name, randomText()],
		});
		return;
	}
	const { rows } = await tx.query<{ id: string }>({
		text: "SELECT id FROM notes WHERE name = $1 ORDER BY id LIMIT 1",
		values: [name],
	});
	if (rows[0] === undefined) return;
	await tx.query({
		text: statement.replaceAll("$2", "$2::text"),
		values: [rows[0].id, randomText()],
	});
}

/** As `psql`'s \copy: new notes, whose names nobody else uses. */
export function copyNotes(url: string, tally: Tally): NoteStep {
	let copied = 0;
	return async () => {
		const lines = Array.from(
			{ length: 20 },
			() =>
				`${randomTenant()}\tCopied ${copied++}\t${copyText(randomText())}\n`,
		);
		await copyIn(url, lines.join(""));
		tally.count("notes copied in", lines.length);
	};
}

function copyText(text: string | null): string {
	return text?.replaceAll("\n", "\\n").replaceAll("\t", "\\t") ?? "\\N";
}

export async function copyIn(url: string, lines: string): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	client.on("error", () => {}); // the statement fails too
	try {
		await client.connect();
		await new Promise<void>((resolve, reject) => {
			client.query(
				new CopyIn(
					"COPY notes (tenant_id, name, content) FROM STDIN",
					lines,
					(error) => (error ? reject(error) : resolve()),
				),
			);
		});
	} finally {
		await client.end().catch(() => {});
	}
}

interface CopyConnection {
	sendCopyFromChunk(chunk: Buffer): void;
	endCopyFrom(): void;
}

/** `pg` refuses a COPY that nobody feeds. */
class CopyIn extends pg.Query {
	readonly #lines: string;

	constructor(
		text: string,
		lines: string,
		callback: (error: Error | undefined) => void,
	) {
		super(text, callback as never);
		this.#lines = lines;
	}

	handleCopyInResponse(connection: CopyConnection): void {
		connection.sendCopyFromChunk(Buffer.from(this.#lines));
		connection.endCopyFrom();
	}
}

/** `pg`'s own errors, as a crash of the server makes them, are expected of COPY. */
export function orLost(step: NoteStep): NoteStep {
	return async (count) => {
		try {
			await step(count);
		} catch (error) {
			if (isExpected(error) || error instanceof RemError) throw error;
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	};
}
