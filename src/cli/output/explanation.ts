import type {
	FusionWeights,
	SearchExplanation,
	TableExplanations,
} from "../../index.ts";
import { snakeNames } from "./json-text.ts";
import { heading, type Line } from "./terminal.ts";

/** How a search was made, below its hits. */
export function explanationLines(explanation: SearchExplanation): Line[] {
	const { isExact, fields, statements, sql, databasePlan, timing, weights } =
		explanation;
	const { embedMs, planMs, searchMs } = timing;
	return [
		"",
		heading("how"),
		`  ${isExact ? "exact: every vector was compared" : "approximate: by an index"}${statements > 1 ? `, after ${statements - 1} try that found too little` : ""}`,
		...fields.map(
			({ field, plan, vectors, efSearch }) =>
				`  ${field}: ${plan}, ${vectors} vectors in the scope${efSearch === undefined ? "" : `, ${efSearch} candidates`}`,
		),
		...(weights === undefined ? [] : [`  weights ${weightsText(weights)}`]),
		`  embedding ${ms(embedMs)}, planning ${ms(planMs)}, searching ${ms(searchMs)}`,
		heading("sql"),
		...indented(sql),
		heading("plan"),
		...indented(databasePlan),
	];
}

/** The same for each table. */
export function tableExplanationLines(explanations: TableExplanations): Line[] {
	return Object.entries(explanations).flatMap(([table, explanation]) => [
		"",
		heading(table),
		...explanationLines(explanation).slice(1),
	]);
}

export function jsonExplanations(
	explanations: TableExplanations,
): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(explanations).map(([table, explanation]) => [
			table,
			jsonExplanation(explanation),
		]),
	);
}

export function jsonExplanation({
	lists,
	...explanation
}: SearchExplanation): Record<string, unknown> {
	if (lists === undefined) return snakeNames(explanation);
	const named = Object.entries(lists).map(([list, { weight, candidates }]) => [
		list,
		{ weight, candidates: candidates.map(snakeNames) },
	]);
	return { ...snakeNames(explanation), lists: Object.fromEntries(named) };
}

function weightsText({ vector, text, name }: FusionWeights): string {
	return Object.entries({ vector, text, name })
		.map(([list, weight]) => `${list}=${Number(weight.toFixed(3))}`)
		.join(",");
}

function ms(value: number): string {
	return `${value.toFixed(1)} ms`;
}

function indented(text: string): string[] {
	return text.split("\n").map((line) => `  ${line}`);
}
