import type { Command } from "commander";
import type { Invocation } from "../options.ts";
import {
	addEmbeddingsPrune,
	addEmbeddingsRetry,
	addEmbeddingsSwitch,
} from "./embeddings-model.ts";
import { addEmbeddingsStatus } from "./embeddings-status.ts";
import { addEmbeddingsSync } from "./embeddings-sync.ts";
import { addIndexBuild, addIndexRepair } from "./index-build.ts";
import { addIndexStatus } from "./index-status.ts";
import { addKvRebuild } from "./kv-rebuild.ts";
import { addKvStatus } from "./kv-status.ts";
import { addKvVerify } from "./kv-verify.ts";
import { addSchemaDiff } from "./schema-diff.ts";
import { addSchemaGenerate } from "./schema-generate.ts";
import { addSchemaValidate } from "./schema-validate.ts";

/** `rem index status | build | repair` */
export function addIndexes(program: Command): void {
	const index = program
		.command("index")
		.helpGroup("Maintain:")
		.summary("show, build and repair indexes")
		.description(
			"Indexes are built in the background while the application writes; this shows how they stand, and works them off now.",
		);
	addIndexStatus(index);
	addIndexBuild(index);
	addIndexRepair(index);
}

/** `rem kv status | rebuild | verify` */
export function addKv(program: Command, invocation: Invocation): void {
	const kv = program
		.command("kv")
		.helpGroup("Maintain:")
		.summary("the cache of names: its state, rebuild it, verify it")
		.description(
			"kv_store contains every entity by its name. It notices by itself when a crash or failover emptied it, and fills itself again; these commands are for looking, and for what it cannot notice.",
		);
	addKvStatus(kv);
	addKvRebuild(kv, invocation);
	addKvVerify(kv, invocation);
}

/** `rem schema generate | validate | diff` */
export function addSchema(program: Command, invocation: Invocation): void {
	const schema = program
		.command("schema")
		.helpGroup("Set up:")
		.summary("write models as SQL, check them, compare them with a database")
		.description(
			"generate and validate work on models alone: no database is opened.",
		);
	addSchemaGenerate(schema);
	addSchemaValidate(schema, invocation);
	addSchemaDiff(schema, invocation);
}

/** `rem embeddings status | sync | retry | switch | prune` */
export function addEmbeddings(program: Command, invocation: Invocation): void {
	const embeddings = program
		.command("embeddings")
		.helpGroup("Maintain:")
		.summary("show and make vectors, change their model")
		.description(
			"Texts that change without their vector wait in a queue, whatever client changed them; this shows how they stand, and embeds them now.",
		);
	addEmbeddingsStatus(embeddings);
	addEmbeddingsSync(embeddings, invocation);
	addEmbeddingsRetry(embeddings);
	addEmbeddingsSwitch(embeddings);
	addEmbeddingsPrune(embeddings, invocation);
}
