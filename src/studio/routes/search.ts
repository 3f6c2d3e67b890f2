import * as z from "zod";
import type { SearchResponse } from "../api/search.ts";
import { type Command, shellOf, typescriptOf } from "../code.ts";
import { type Settings, settingsInput } from "../input.ts";
import { rankedLists } from "../ranked-lists.ts";
import { type RouteCall, route } from "../route.ts";
import { search as run } from "../search.ts";

export const search = route({
	method: "POST",
	path: "search",
	input: z.strictObject({ ...settingsInput, explain: z.boolean().optional() }),
	run: async (call: RouteCall, given): Promise<SearchResponse> => {
		const { explain = false, ...settings } = given;
		const place = call.place(given);
		const started = performance.now();
		const found = await run(place, settings, explain);
		const serviceMs = performance.now() - started;
		const { items, plans, steps, omitted, notes, calls } = found;
		return {
			mode: settings.mode ?? "recall",
			items,
			lists: await rankedLists(place, found),
			...(omitted === undefined ? {} : { omitted }),
			timing: { serviceMs, steps },
			tables: plans,
			code: {
				typescript: typescriptOf(place, calls),
				shell: commandsOf(settings)
					.map((command) => shellOf(place, command))
					.join("\n"),
			},
			notes,
		};
	},
});

/** One for each table, where the command takes one table or all of them. */
function commandsOf(settings: Settings): Command[] {
	const { mode = "recall", tables = [] } = settings;
	if (mode === "recall" || tables.length < 2)
		return [commandOf(settings, tables)];
	return tables.map((table) => commandOf(settings, [table]));
}

function commandOf(
	{
		mode = "recall",
		query: text,
		limit = 20,
		filter,
		weights,
		threshold,
		maxTokens,
		vectorMode,
	}: Settings,
	tables: readonly string[],
): Command {
	const list = Object.entries(weights ?? {})
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}=${value}`)
		.join(",");
	const [table] = tables;
	const searched = [
		["--table", table],
		["--condition", filter],
		["--mode", vectorMode],
		["--limit", limit],
	] as const;
	switch (mode) {
		case "recall":
			return {
				name: "rem recall",
				text,
				options: [
					...tables.map((table) => ["--table", table] as const),
					["--limit", limit],
					["--max-tokens", maxTokens],
				],
			};
		case "lookup":
			return { name: "rem lookup", text, options: [["--type", table]] };
		case "fuzzy":
			return {
				name: "rem fuzzy",
				text,
				options: [
					["--type", table],
					["--threshold", threshold],
					["--limit", limit],
				],
			};
		case "vector":
			return { name: "rem search", text, options: searched };
		case "text":
			return {
				name: "rem search --hybrid --weights vector=0,text=1,name=0",
				text,
				options: searched,
			};
		case "hybrid":
			return {
				name: "rem search --hybrid",
				text,
				options: [["--weights", list === "" ? undefined : list], ...searched],
			};
	}
}
