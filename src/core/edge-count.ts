import { membersOf } from "../util/present.ts";

type Entities = Iterable<unknown> | AsyncIterable<unknown>;

/** Counts the edges of the entities that a call writes: by them, not by rows, an index of their targets pays. */
export class EdgeCount {
	edges = 0;

	/** The same entities, counted as they are read. */
	of(entities: Entities): Entities {
		if (Array.isArray(entities)) {
			for (const entity of entities) this.#add(entity);
			return entities;
		}
		const source: object = Object(entities);
		const isMany = Symbol.asyncIterator in source || Symbol.iterator in source;
		return isMany && typeof entities === "object"
			? this.#counted(entities)
			: entities;
	}

	async *#counted(entities: Entities): AsyncGenerator<unknown> {
		for await (const entity of entities) {
			this.#add(entity);
			yield entity;
		}
	}

	#add(entity: unknown): void {
		try {
			const { graphEdges } = membersOf(entity);
			if (Array.isArray(graphEdges)) this.edges += graphEdges.length;
		} catch {
			// A getter or a proxy threw: the write reports which entity it is.
		}
	}
}
