import * as z from "zod";
import { checkVisible, findRow } from "./find-row.ts";
import { text, uris } from "./input.ts";
import { quotedJson } from "./plain-json.ts";
import { tool } from "./tool.ts";

export const forget = tool({
	name: "forget",
	title: "Forget",
	description:
		"Deletes entities, or links between entities, that are wrong or no longer wanted. To correct an entity, remember it again under the same key instead.",
	behaviour: { isReadOnly: false, isDestructive: true, isIdempotent: true },
	input: () =>
		z
			.strictObject({
				uris: uris.optional(),
				links: z
					.array(
						z.strictObject({
							from: text("name of the entity, or table/key"),
							to: text("name of the target"),
							type: z
								.string()
								.min(1)
								.optional()
								.describe("every type by default"),
						}),
					)
					.min(1)
					.max(100)
					.optional(),
			})
			.refine(
				({ uris, links }) => uris !== undefined || links !== undefined,
				"pass uris or links",
			),
	async run({ scope, access }, input) {
		const forgotten: string[] = [];
		const missing: string[] = [];
		let linksRemoved = 0;
		for (const uri of input.uris ?? []) {
			const found = await findRow({ scope, access }, uri);
			const isGone =
				found !== undefined &&
				(await scope.repository(found.entity).delete(found.id));
			(isGone ? forgotten : missing).push(uri);
		}
		for (const { from, to, type } of input.links ?? [])
			linksRemoved += await scope.unlink({
				from: await checkVisible(scope, access, from),
				dst: to,
				...(type === undefined ? {} : { relType: type }),
			});
		const content = {
			forgotten,
			...(missing.length === 0 ? {} : { missing }),
			...(input.links === undefined ? {} : { linksRemoved }),
		};
		return { content, text: quotedJson(content) };
	},
});
