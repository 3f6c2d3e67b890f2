import type { EntityTable } from "../models/registry.ts";
import { toText } from "../sql.ts";
import { embeddingsDdl } from "./entity-ddl.ts";
import { kvTriggerDdl } from "./kv-trigger.ts";

interface TriggerFunction {
	readonly name: string;
	/** As `pg_proc.prosrc` has it. */
	readonly body: string;
}

/** The functions of the table's triggers, as the model makes them. */
export function triggerFunctions(table: EntityTable): TriggerFunction[] {
	const text = toText(embeddingsDdl(table)) + toText(kvTriggerDdl(table));
	return [...text.matchAll(definition)].map(([, name = "", body = ""]) => ({
		name: name.replaceAll('""', '"'),
		body,
	}));
}

const definition =
	/CREATE OR REPLACE FUNCTION "(?:[^"]|"")*"\."((?:[^"]|"")*)"\(\) RETURNS TRIGGER\n[^$]*?AS \$fn\$([\s\S]*?)\$fn\$/g;
