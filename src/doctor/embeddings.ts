import type { EmbeddingStatus } from "../core/embeddings.ts";
import {
	type FieldStatus,
	type Queued,
	readQueued,
} from "../embed-sync/status.ts";
import {
	defaultLocalModel,
	lexicalModel,
	semanticModel,
} from "../embeddings/local.ts";
import {
	type Examined,
	type Finding,
	ok,
	type RunCheck,
	some,
	warning,
} from "./check.ts";

/** For each table and model, how many texts have a current vector. */
export const checkCoverage: RunCheck = async (core) => {
	const embeds = core.registry
		.all()
		.some(({ entity }) => entity.embedFields.length > 0);
	if (!embeds) return [];
	const status = await core.embeddings.status();
	const { fields } = status;
	const groups = new Map<string, FieldStatus[]>();
	for (const field of fields) {
		const { tableName, provider, model, dimensions } = field;
		if (field.texts === 0 || field.state === "retired") continue;
		const name = `${tableName} in ${provider}/${model} (${dimensions})`;
		groups.set(name, [...(groups.get(name) ?? []), field]);
	}
	const findings = [
		...[...groups].map(([name, group]) => coverage(name, group)),
		...unusableModels(core, status),
		...betterModel(core, fields),
	];
	if (core.embedder.spaceIfKnown() === undefined)
		return [
			warning(
				"no provider is configured: texts are neither embedded nor searched for",
				"set EMBEDDING__PROVIDER and its key (docs/embeddings.md)",
			),
			...findings,
		];
	return findings.length === 0 ? ok("no texts yet") : findings;
};

/** Tables that are set to a model which cannot be asked here. */
function unusableModels(
	{ embeddings }: Pick<Examined, "embeddings">,
	{ fields, mismatched, configured }: EmbeddingStatus,
): Finding[] {
	if (configured === undefined) return [];
	const tables = new Map<string, FieldStatus[]>();
	for (const field of fields) {
		if (field.state !== "active") continue;
		const { tableName, provider, model, dimensions } = field;
		const name = `${tableName} is set to ${provider}/${model} (${dimensions})`;
		tables.set(name, [...(tables.get(name) ?? []), field]);
	}
	return [...tables].flatMap(([name, ofTable]) => {
		const [field] = ofTable;
		if (field === undefined) return [];
		const { tableName, provider, model, dimensions } = field;
		const problem = embeddings.whyNot({ provider, model, dimensions });
		const differs = mismatched.includes(tableName);
		const isEmpty = ofTable.every(({ embedded }) => embedded === 0);
		if (problem === undefined) return [];
		const found = [
			name,
			...(differs
				? [`the configuration to ${configured.provider}/${configured.model}`]
				: []),
			problem,
		].join("; ");
		if (!differs)
			return warning(
				found,
				"set the provider's key, or EMBEDDING__PROVIDER (docs/embeddings.md)",
			);
		return warning(
			found,
			isEmpty
				? `rem migrate with EMBEDDING__PROVIDER=${configured.provider}, or migrate() of the service`
				: `configure ${provider} here (docs/embeddings.md), or rem embeddings sync --model ${configured.model} && rem embeddings switch ${configured.model}`,
		);
	});
}

/** Texts of a database that began when `local` had only its former model. */
function betterModel(
	{ settings: { embedding } }: Pick<Examined, "settings">,
	fields: readonly FieldStatus[],
): Finding[] {
	if ("embed" in embedding || embedding.provider !== "local") return [];
	// The configuration means it: by its name, or by vectors too short for the other.
	const meant = embedding.model ?? defaultLocalModel(embedding.dimensions);
	if (meant === lexicalModel) return [];
	const tables = fields
		.filter(
			({ provider, model, state, texts }) =>
				provider === "local" &&
				model === lexicalModel &&
				state === "active" &&
				texts > 0,
		)
		.map(({ tableName }) => tableName);
	if (tables.length === 0) return [];
	return [
		warning(
			`${some([...new Set(tables)])} in ${lexicalModel}, which compares words only; ${semanticModel} also knows what English words mean`,
			`rem embeddings sync --model ${semanticModel} && rem embeddings switch ${semanticModel}; for texts in other languages set EMBEDDING__MODEL=${lexicalModel}`,
		),
	];
}

/** Where most texts of a table wait so long, no process seems to embed them. */
const noticedAgeMs = 3 * 60_000;

function coverage(name: string, fields: readonly FieldStatus[]): Finding {
	const sum = (of: "texts" | "embedded" | "queued" | "dead") =>
		fields.reduce((total, field) => total + field[of], 0);
	const texts = sum("texts");
	const embedded = sum("embedded");
	const percent = Math.floor((100 * embedded) / texts);
	const found = `${name}: ${percent} % of ${texts} texts`;
	const queued = sum("queued");
	const lost = texts - embedded - queued - sum("dead");
	const oldestMs = Math.max(0, ...fields.map(({ oldestMs }) => oldestMs ?? 0));
	if (lost <= 0 && queued * 2 > texts && oldestMs > noticedAgeMs)
		return warning(
			`${found}; ${queued} wait for their vector, the oldest for ${inWords(oldestMs)}`,
			"run rem worker, or rem embeddings sync",
		);
	if (lost <= 0) return ok(found);
	return warning(
		`${found}; ${lost} have no vector, and do not wait for one`,
		"rem embeddings sync",
	);
}

const toleratedAgeMs = 10 * 60_000;

/** Texts that wait for their vector, and dead-lettered ones. */
export const checkQueue: RunCheck = async ({ db, settings }) => {
	if (settings.rowLevelSecurity)
		return warning(
			"not checked: row level security shows this connection one tenant's texts",
			"rem doctor as the tables' owner",
		);
	const queued = await readQueued(db, settings.schema);
	const waiting = tally(queued, "pending");
	const dead = tally(queued, "dead");
	const oldestMs = Math.max(
		0,
		...queued
			.filter(({ state }) => state === "pending")
			.map(({ ageMs }) => Number(ageMs)),
	);
	const wait = `${waiting.texts} texts wait, the oldest for ${inWords(oldestMs)}`;
	const findings = [
		...(oldestMs > toleratedAgeMs
			? [
					warning(
						`${wait}${waiting.why}`,
						"run rem worker, or rem embeddings sync",
					),
				]
			: []),
		...(dead.texts > 0
			? [
					warning(
						`${dead.texts} texts are dead-lettered${dead.why}`,
						"remove the cause, then rem embeddings retry",
					),
				]
			: []),
	];
	if (findings.length > 0) return findings;
	return ok(waiting.texts === 0 ? "empty" : wait);
};

function tally(queued: readonly Queued[], state: Queued["state"]) {
	const here = queued.filter((one) => one.state === state);
	const reasons = here.flatMap(({ reason, count }) =>
		reason === null ? [] : `${count} × ${reason}`,
	);
	return {
		texts: here.reduce((total, { count }) => total + count, 0),
		why: reasons.length === 0 ? "" : ` (${some(reasons, 2)})`,
	};
}

function inWords(ms: number): string {
	const minutes = Math.round(ms / 60_000);
	if (minutes < 1) return `${Math.round(ms / 1000)} s`;
	return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
