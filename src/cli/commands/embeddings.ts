import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import {
	addEmbeddingsPrune,
	addEmbeddingsRetry,
	addEmbeddingsSwitch,
} from "./embeddings-model.ts";
import { addEmbeddingsStatus } from "./embeddings-status.ts";
import { addEmbeddingsSync } from "./embeddings-sync.ts";

/** `rem embeddings status | sync | retry | switch | prune` */
export function addEmbeddings(program: Command, invocation: Invocation): void {
	const embeddings = program
		.command("embeddings")
		.helpGroup("Maintain:")
		.summary("show and make vectors, change their model")
		.description(
			"Texts that change without their vector wait in a queue, whoever changed them; this shows how they stand, and embeds them now.",
		);
	addEmbeddingsStatus(embeddings);
	addEmbeddingsSync(embeddings, invocation);
	addEmbeddingsRetry(embeddings);
	addEmbeddingsSwitch(embeddings);
	addEmbeddingsPrune(embeddings, invocation);
}
