/** What a row is known, or may be, to look like: `undefined` when it is gone. */
export interface RowState {
	readonly rev: number;
	readonly name: string;
	readonly isDeleted: boolean;
}

export type Possible = RowState | undefined;

/**
 * What the database has acknowledged of one writer's rows. Of a change whose
 * connection broke nobody knows whether it was applied: then two states are
 * possible, and the row is left alone from there on.
 */
export class Ledger {
	readonly #rows = new Map<string, readonly Possible[]>();

	/** Ids of rows whose state is certain. */
	certain(isWanted: (state: RowState) => boolean): string[] {
		return [...this.#rows].flatMap(([id, states]) => {
			const [state] = states;
			return states.length === 1 && state !== undefined && isWanted(state)
				? id
				: [];
		});
	}

	state(id: string): RowState | undefined {
		return this.#rows.get(id)?.[0];
	}

	get ids(): string[] {
		return [...this.#rows.keys()];
	}

	knows(id: string): boolean {
		return this.#rows.has(id);
	}

	acknowledge(changes: ReadonlyMap<string, Possible>): void {
		for (const [id, state] of changes) this.#rows.set(id, [state]);
	}

	/** The connection broke while these were under way. */
	doubt(changes: ReadonlyMap<string, Possible>): void {
		for (const [id, state] of changes)
			this.#rows.set(id, [this.#rows.get(id)?.[0], state]);
	}

	/** Whether what is found can be: `undefined`, the row is not there. */
	allows(id: string, found: Possible): boolean {
		return (this.#rows.get(id) ?? []).some((state) => isSame(state, found));
	}
}

function isSame(one: Possible, other: Possible): boolean {
	return (
		one?.rev === other?.rev &&
		one?.name === other?.name &&
		one?.isDeleted === other?.isDeleted
	);
}
