import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { addKvRebuild } from "./kv-rebuild.ts";
import { addKvStatus } from "./kv-status.ts";
import { addKvVerify } from "./kv-verify.ts";

/** `rem kv status | rebuild | verify` */
export function addKv(program: Command, invocation: Invocation): void {
	const kv = program
		.command("kv")
		.helpGroup("Keep:")
		.summary("the cache of names: its state, rebuild it, verify it")
		.description(
			"kv_store holds every entity by its name. It notices by itself when a crash or failover emptied it, and fills itself again; these commands are for looking, and for what it cannot notice.",
		);
	addKvStatus(kv);
	addKvRebuild(kv, invocation);
	addKvVerify(kv, invocation);
}
