import { Command } from "commander";
import { packageVersion } from "../util/package-file.ts";
import { addBuckets } from "./commands/buckets.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDelete } from "./commands/delete.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEmbeddings } from "./commands/embeddings.ts";
import { addEval } from "./commands/eval.ts";
import { addExport } from "./commands/export.ts";
import { addForget } from "./commands/forget.ts";
import { addFuzzy } from "./commands/fuzzy.ts";
import { addGet } from "./commands/get.ts";
import { addIndexes } from "./commands/indexes.ts";
import { addInit } from "./commands/init.ts";
import { addKv } from "./commands/kv.ts";
import { addList } from "./commands/list.ts";
import { addLoad } from "./commands/load.ts";
import { addLookup } from "./commands/lookup.ts";
import { addMcp } from "./commands/mcp.ts";
import { addMigrate } from "./commands/migrate.ts";
import { addQuery } from "./commands/query.ts";
import { addQuickstart } from "./commands/quickstart.ts";
import { addRecall } from "./commands/recall.ts";
import { addSchema } from "./commands/schema.ts";
import { addSearch } from "./commands/search.ts";
import { addSet } from "./commands/set.ts";
import { addStudio } from "./commands/studio.ts";
import { addTraverse } from "./commands/traverse.ts";
import { addWorker } from "./commands/worker.ts";
import type { Invocation } from "./options.ts";

/** The whole command line: every command is a file in commands/. */
export function buildProgram(invocation: Invocation): Command {
	const program = new Command("rem")
		.description(
			"PostgreSQL as the memory of AI applications: entities found by name, by nearly their name and by meaning.",
		)
		.version(packageVersion(), "-V, --version", "print the version")
		.helpOption("-h, --help", "explain the command")
		.exitOverride()
		// Errors are printed in one place, main.ts, also as JSON.
		.configureOutput({ outputError: () => {} })
		.addHelpText("after", learnMore);
	addQuickstart(program, invocation);
	addInit(program, invocation, packageVersion());
	addMigrate(program, invocation);
	addSchema(program, invocation);
	addLoad(program, invocation);
	addExport(program, invocation);
	addList(program);
	addGet(program);
	addSet(program);
	addDelete(program);
	addForget(program, invocation);
	addLookup(program);
	addFuzzy(program);
	addSearch(program);
	addEval(program, invocation);
	addRecall(program);
	addQuery(program);
	addTraverse(program);
	addIndexes(program);
	addKv(program, invocation);
	addBuckets(program);
	addWorker(program, invocation);
	addMcp(program, invocation, packageVersion());
	addStudio(program, invocation);
	addEmbeddings(program, invocation);
	addDoctor(program, invocation);
	addCompletion(program);
	program.helpCommand("help [command]", "explain a command");
	return program;
}

const learnMore = `
Start with: rem quickstart
Every command explains itself with examples: rem load --help

The database is --url, else POSTGRES__CONNECTION_STRING, DATABASE_URL or
POSTGRES__HOST, else the embedded one in ./.rem. Results are on stdout, notices
and progress on stderr. Exit codes: 0 done, also when nothing was found; 1 failed;
2 wrong usage; 3 differs, or is below the minimum.`;
