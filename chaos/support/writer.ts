import { randomInt, randomUUID } from "node:crypto";
import type { PostgresService, TransactionOptions } from "../../src/index.ts";
import { isExpected, isRolledBack } from "./expected-errors.ts";
import { itemName, type models, tenants } from "./items.ts";
import { Ledger, type Possible } from "./ledger.ts";
import type { Tally } from "./tally.ts";

type Service = PostgresService<typeof models>;
type Table = "items" | "parts";
type Change = "create" | "update" | "rename" | "remove" | "restore" | "purge";

export interface WriterOptions {
	/** Every writer is a user: the names are the same for all. */
	readonly user: string;
	/** Through the library's own calls where it has one, or as another program would. */
	readonly style: "service" | "sql";
	readonly isolation?: TransactionOptions["isolation"];
}

const mostRows = 3000;

/** Changes rows of its own in every way there is, and remembers what was acknowledged. */
export class Writer {
	readonly #service: Service;
	readonly #options: WriterOptions;
	readonly #tally: Tally;
	readonly #ledgers = { items: new Ledger(), parts: new Ledger() };
	#numbers = 0;

	constructor(service: Service, options: WriterOptions, tally: Tally) {
		this.#service = service;
		this.#options = options;
		this.#tally = tally;
	}

	/** One change of 1 to 20 rows. */
	async step(): Promise<void> {
		const table = randomInt(3) === 0 ? "parts" : "items";
		const change = this.#chooseChange(table);
		const ids = this.#chooseRows(table, change);
		if (ids.length === 0) return;
		await this.#expectAcknowledged(table, ids);
		const changes = this.#changesOf(table, change, ids);
		try {
			await this.#apply(table, change, changes);
		} catch (error) {
			if (isExpected(error) && !isRolledBack(error))
				this.#ledgers[table].doubt(changes);
			throw error;
		}
		this.#ledgers[table].acknowledge(changes);
		this.#tally.count("acknowledged row changes", changes.size);
	}

	/** At the end: every row there was. */
	async expectAll(): Promise<void> {
		for (const table of ["items", "parts"] as const)
			await this.#expectAcknowledged(table, this.#ledgers[table].ids);
	}

	#chooseChange(table: Table): Change {
		const count = this.#ledgers[table].certain(() => true).length;
		if (count < 50) return "create";
		const kinds: Change[] = ["update", "rename", "remove", "restore", "purge"];
		if (count < mostRows) kinds.push("create", "create");
		return kinds[randomInt(kinds.length)] as Change;
	}

	#chooseRows(table: Table, change: Change): string[] {
		const count = 1 + randomInt(20);
		if (change === "create")
			return Array.from({ length: count }, () => randomUUID());
		const rows = this.#ledgers[table].certain(
			({ isDeleted }) => isDeleted === (change === "restore"),
		);
		const start = randomInt(Math.max(1, rows.length));
		// In one order, as every writer should: else two of them deadlock.
		return rows.slice(start, start + count).sort();
	}

	/** Nobody else writes these rows: what is there must have been acknowledged, or be in doubt. */
	async #expectAcknowledged(
		table: Table,
		ids: readonly string[],
	): Promise<void> {
		const { rows } = await this.#service.execute<{
			id: string;
			rev: number;
			name: string;
			isDeleted: boolean;
		}>(
			`SELECT id, rev, name, deleted_at IS NOT NULL AS "isDeleted" FROM ${table} WHERE id = ANY (string_to_array($1, ',')::uuid[])`,
			[ids.join(",")],
		);
		const found = new Map(rows.map(({ id, ...state }) => [id, state]));
		for (const id of ids) {
			const ledger = this.#ledgers[table];
			if (ledger.knows(id) && !ledger.allows(id, found.get(id)))
				this.#tally.violate(
					`${table} ${id}: an acknowledged change is lost (found ${JSON.stringify(found.get(id) ?? "no row")})`,
				);
		}
	}

	#changesOf(
		table: Table,
		change: Change,
		ids: readonly string[],
	): Map<string, Possible> {
		return new Map(
			ids.map((id): [string, Possible] => {
				const state = this.#ledgers[table].state(id) ?? {
					rev: 0,
					name: itemName(this.#numbers++),
					isDeleted: false,
				};
				if (change === "create") return [id, state];
				if (change === "purge") return [id, undefined];
				return [
					id,
					{
						rev: state.rev + 1,
						name: change === "rename" ? itemName(this.#numbers++) : state.name,
						isDeleted: change === "remove",
					},
				];
			}),
		);
	}

	async #apply(
		table: Table,
		change: Change,
		changes: ReadonlyMap<string, Possible>,
	): Promise<void> {
		if (this.#options.style === "service" && change === "create")
			return this.#upsert(table, changes);
		if (this.#options.style === "service" && change === "update")
			return this.#upsert(table, changes);
		await this.#service.transaction(
			(tx) =>
				tx.query({ text: texts(table)[change], values: this.#values(changes) }),
			this.#options.isolation === undefined
				? {}
				: { isolation: this.#options.isolation },
		);
	}

	async #upsert(
		table: Table,
		changes: ReadonlyMap<string, Possible>,
	): Promise<void> {
		await this.#service.batchUpsert({
			tableName: table,
			entities: [...changes].map(([id, state]) => ({
				id,
				name: state?.name ?? "",
				...(table === "parts" ? { ordinal: ordinalOf(id) } : {}),
				rev: state?.rev ?? 0,
				content: `rev ${state?.rev}`,
				tenantId: tenantOf(id),
			})) as never,
			userId: this.#options.user,
		});
	}

	#values(changes: ReadonlyMap<string, Possible>): string[] {
		const rows = [...changes].map(([id, state]) => ({
			id,
			tenant: tenantOf(id),
			ordinal: ordinalOf(id),
			user: this.#options.user,
			...state,
		}));
		return [JSON.stringify(rows)];
	}
}

function tenantOf(id: string): string {
	return tenants[
		Number.parseInt(id.slice(0, 2), 16) % tenants.length
	] as string;
}

function ordinalOf(id: string): number {
	return Number.parseInt(id.slice(2, 4), 16) % 5;
}

/** Each takes the rows as JSON. */
function texts(table: Table): Record<Change, string> {
	const rows = `jsonb_to_recordset($1::jsonb) AS r (id uuid, tenant text, "user" text, ordinal int, rev int, name text)`;
	const where = "FROM r WHERE t.id = r.id";
	const set = (what: string) =>
		`WITH r AS (SELECT * FROM ${rows}) UPDATE ${table} AS t SET rev = r.rev, content = 'rev ' || r.rev, ${what} ${where}`;
	const ordinal = table === "parts" ? ", ordinal" : "";
	return {
		create: `INSERT INTO ${table} (id, tenant_id, user_id, name${ordinal}, content, rev)
SELECT id, tenant, "user", name${ordinal}, 'rev ' || rev, rev FROM ${rows}`,
		update: set("metadata = jsonb_build_object('rev', r.rev)"),
		rename: set("name = r.name"),
		remove: set("deleted_at = now()"),
		restore: set("deleted_at = NULL"),
		purge: `DELETE FROM ${table} AS t USING ${rows} WHERE t.id = r.id`,
	};
}
