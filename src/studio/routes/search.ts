import * as z from "zod";
import type { SearchResponse } from "../api.ts";
import { quoted, shellOf, typescriptOf } from "../code.ts";
import { type Settings, settingsInput } from "../input.ts";
import { type RouteCall, route } from "../route.ts";
import { rankedLists, search as run } from "../search.ts";

export const search = route({
	method: "POST",
	path: "search",
	input: z.strictObject({ ...settingsInput, explain: z.boolean().optional() }),
	run: async (call: RouteCall, given): Promise<SearchResponse> => {
		const { explain = false, ...settings } = given;
		const place = call.place(given);
		const started = performance.now();
		const found = await run(place, settings, explain);
		const { items, plans, steps, omitted, notes, call: made } = found;
		return {
			mode: settings.mode ?? "recall",
			items,
			lists: rankedLists(found),
			...(omitted === undefined ? {} : { omitted }),
			timing: { serviceMs: performance.now() - started, steps },
			tables: plans,
			call: made,
			code: {
				typescript: typescriptOf(place, made),
				shell: shell(place, settings),
			},
			notes,
		};
	},
});

function shell(
	place: {
		readonly tenantId: string;
		readonly userId: string | null | undefined;
	},
	{
		mode = "recall",
		query,
		tables,
		limit,
		filter,
		weights,
		threshold,
		maxTokens,
	}: Settings,
): string {
	const text = quoted(query);
	const table = tables?.length === 1 ? tables[0] : undefined;
	const list = Object.entries(weights ?? {})
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}=${value}`)
		.join(",");
	const searched = [
		["--table", table],
		["--condition", filter],
		["--limit", limit],
	] as const;
	switch (mode) {
		case "recall":
			return shellOf(place, [
				`rem recall ${[text, ...(tables ?? []).map((name) => `--table ${quoted(name)}`)].join(" ")}`,
				["--limit", limit],
				["--max-tokens", maxTokens],
			]);
		case "lookup":
			return shellOf(place, [`rem lookup ${text}`, ["--type", table]]);
		case "fuzzy":
			return shellOf(place, [
				`rem fuzzy ${text}`,
				["--type", table],
				["--threshold", threshold],
				["--limit", limit],
			]);
		case "vector":
			return shellOf(place, [`rem search ${text}`, ...searched]);
		case "text":
			return shellOf(place, [
				`rem search ${text} --hybrid --weights vector=0,text=1,name=0`,
				...searched,
			]);
		case "hybrid":
			return shellOf(place, [
				`rem search ${text} --hybrid`,
				["--weights", list === "" ? undefined : list],
				...searched,
			]);
	}
}
