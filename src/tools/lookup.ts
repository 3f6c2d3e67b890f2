import * as z from "zod";
import type { Edge } from "../models/types.ts";
import { entityUri } from "./entity-uri.ts";
import { page, someTables, tableNamed } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage, pageOf } from "./page.ts";
import { plainJson } from "./plain-json.ts";
import { reads, tool, untilAborted } from "./tool.ts";

export const lookup = tool({
	name: "lookup",
	title: "Look up names",
	description:
		'Finds entities by their exact names, whatever the spelling ("Sarah Chen", "sarah-chen"), with a summary and their links. For a name you only half know use recall.',
	behaviour: reads,
	input: (access) =>
		z.strictObject({
			keys: z.array(z.string().min(1)).min(1).max(50),
			tables: someTables(access),
			...page,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("lookup", input, maxTokens);
		for (const name of input.tables ?? []) tableNamed(access, name);
		const allowed = new Set(input.tables ?? access.tables);
		const found = await scope.lookupEntities({
			entityKeys: input.keys,
			...untilAborted(signal),
		});
		const hits = found.filter(({ entityType }) => allowed.has(entityType));
		const items = hits.map((hit) => ({
			uri: entityUri(hit.entityType, hit.entityKey, hit.entityId),
			table: hit.entityType,
			key: hit.entityKey,
			requested: hit.requestedKey,
			summary: hit.contentSummary,
			...(isEmpty(hit.metadata) ? {} : { metadata: plainJson(hit.metadata) }),
			...linksOf(hit.graphEdges),
		}));
		const known = new Set(hits.map(({ requestedKey }) => requestedKey));
		const missing = input.keys.filter((key) => !known.has(key));
		return listAnswer(
			pageOf(here, items),
			missing.length === 0 ? {} : { missing },
		);
	},
});

const shownLinks = 20;

function linksOf(edges: readonly Edge[]) {
	if (edges.length === 0) return {};
	const links = edges
		.slice(0, shownLinks)
		.map(({ rel_type, dst }) => ({ type: rel_type, to: dst }));
	return edges.length <= shownLinks
		? { links }
		: { links, linksOmitted: edges.length - shownLinks };
}

function isEmpty(record: Readonly<Record<string, unknown>>): boolean {
	return Object.keys(record).length === 0;
}
