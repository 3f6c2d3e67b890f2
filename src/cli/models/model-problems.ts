import type { Entity } from "../../models/entity.ts";

export interface ModelProblem {
	readonly file: string;
	/** The model's table. */
	readonly model?: string;
	readonly field?: string;
	readonly message: string;
}

interface Model {
	readonly file: string;
	readonly entity: Entity;
}

/** What is wrong with the definitions, alone and together. */
export function modelProblems(models: readonly Model[]): ModelProblem[] {
	return models.flatMap(({ file, entity }, at) => {
		const model = entity.tableName;
		const twin = models
			.slice(0, at)
			.find((other) => other.entity.tableName === model);
		return [
			...entity.problems.map((problem) => ({ file, model, ...problem })),
			...(twin === undefined
				? []
				: [{ file, model, message: `${twin.file} has this table already` }]),
		];
	});
}

/** `models/document.ts: documents.year: z.map() has no column type` */
export function describeProblem(problem: ModelProblem): string {
	const { file, model, field, message } = problem;
	const name = [model, field].filter((part) => part !== undefined).join(".");
	return `${file}: ${name === "" ? "" : `${name}: `}${message}`;
}
