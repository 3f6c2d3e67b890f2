import * as z from "zod";
import { checkVisible } from "./find-row.ts";
import { text } from "./input.ts";
import { tool } from "./tool.ts";

export const link = tool({
	name: "link",
	title: "Link entities",
	description:
		"Adds links from an entity to others by their names: sarah-chen manages tom-hardy. A link of the same type and target is replaced. The entity must have been remembered; a target may come later.",
	behaviour: { isReadOnly: false, isDestructive: false, isIdempotent: true },
	input: () =>
		z.strictObject({
			from: text("name of the entity, or table/key"),
			links: z
				.array(
					z.strictObject({
						type: text("what it is: manages, cites, decided-by"),
						to: text("name of the target"),
						weight: z.number().min(0).max(1).optional(),
						properties: z.record(z.string(), z.unknown()).optional(),
					}),
				)
				.min(1)
				.max(100),
		}),
	async run({ scope, access }, input) {
		const from = await checkVisible(scope, access, input.from);
		const result = await scope.link({
			from,
			edges: input.links.map(({ type, to, weight, properties }) => ({
				dst: to,
				rel_type: type,
				...(weight === undefined ? {} : { weight }),
				...(properties === undefined ? {} : { properties }),
			})),
		});
		return {
			content: { ...result },
			text: `${result.added} links added, ${result.replaced} replaced.`,
		};
	},
});
