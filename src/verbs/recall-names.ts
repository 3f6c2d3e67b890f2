import { sideBySide } from "../core/side-by-side.ts";
import { type FuzzyHit, fuzzySearch } from "../query/fuzzy.ts";
import {
	type EntityRef,
	nameShare,
	shareOfSimilarity,
} from "../query/recall/fuse.ts";
import {
	type NameSpan,
	nameSpans,
	unknownNames,
} from "../query/recall/names.ts";
import { elementAt } from "../util/present.ts";
import {
	byNames,
	type Led,
	type RecallReads,
	recalledEntity,
} from "./recall-reads.ts";

export interface Names {
	readonly lookup: readonly Led[];
	readonly fuzzy: readonly Led[];
	readonly lookedUp: readonly string[];
	readonly compared: readonly string[];
	readonly ms: number;
}

/** Of one name, so many entities. */
const perName = 5;

/** The entities that the query names, and where it has names that none has, those that are called nearly so. */
export async function findNames(reads: RecallReads): Promise<Names> {
	const started = performance.now();
	const { query } = reads.call;
	const spans = nameSpans(query);
	const texts = spans.map(({ text }) => text);
	const named = await byNames(reads, texts, perName);
	const mentioned = outermost(
		named.map((entity) => ({ entity, span: elementAt(spans, entity.place) })),
	);
	const unknown = unknownNames(
		query,
		mentioned.map(({ span }) => span),
	);
	return {
		lookup: mentioned.map(({ entity, span }, at): Led => {
			const share = span.isDistinct ? nameShare.distinct : nameShare.word;
			return {
				entity: recalledEntity(reads, entity),
				share,
				value: share,
				reasons: [{ step: "lookup", rank: at + 1, via: span.text }],
			};
		}),
		fuzzy: await findSimilar(reads, unknown),
		lookedUp: texts,
		compared: unknown.map(({ text }) => text),
		ms: performance.now() - started,
	};
}

/** Without names within longer ones: "Chen" in "Sarah Chen" is another's. */
function outermost<Mention extends { readonly span: NameSpan }>(
	mentions: readonly Mention[],
): Mention[] {
	const isWithin = (a: NameSpan, b: NameSpan) =>
		b.start <= a.start && a.end <= b.end && b.end - b.start > a.end - a.start;
	return mentions.filter(
		({ span }) => !mentions.some((other) => isWithin(span, other.span)),
	);
}

const similar = { threshold: 0.45, limit: 5 } as const;

async function findSimilar(
	reads: RecallReads,
	spans: readonly NameSpan[],
): Promise<Led[]> {
	const { core, call, reader, tenantId, tables } = reads;
	const names = {
		db: reader.db,
		schema: core.settings.schema,
		hasRowSecurity: core.settings.rowLevelSecurity,
		fallback: core.cacheFallback,
		named: core.db.capabilities.namedStatements,
	};
	const [only, ...more] = tables;
	const { userId } = call;
	const entityType = more.length === 0 ? only?.entity.tableName : undefined;
	const found = await sideBySide(
		core,
		call.transaction,
		spans.map(({ text: query }) => async () => {
			const request = { query, tenantId, userId, entityType, ...similar };
			const hits = await fuzzySearch(
				names,
				core.vectorStatistics.names,
				request,
			);
			return hits.map((hit) => ({ hit, via: query }));
		}),
	);
	const hits = found.flat().sort((a, b) => b.hit.score - a.hit.score);
	const ids = hits.map(({ hit }) => hit.entityId);
	const entities = await byNames(reads, ids, 1);
	return hits.flatMap(({ hit, via }, at): Led[] => {
		const entity = entities.find(({ node }) => isSame(node, hit));
		if (entity === undefined) return [];
		return [
			{
				entity: recalledEntity(reads, entity),
				share: shareOfSimilarity(hit.score),
				value: hit.score,
				reasons: [{ step: "fuzzy", rank: at + 1, via }],
			},
		];
	});
}

function isSame(a: EntityRef, b: Pick<FuzzyHit, keyof EntityRef>): boolean {
	return a.entityType === b.entityType && a.entityId === b.entityId;
}
