/** What `recall` of the service takes and returns, as far as the tool uses it. */
export interface RecallVerb {
	recall(options: {
		readonly query: string;
		readonly tables?: readonly string[];
		readonly limit?: number;
		readonly maxTokens?: number;
		readonly since?: Date;
		readonly signal?: AbortSignal;
	}): Promise<{
		readonly items: readonly {
			readonly entityType: string;
			readonly entityId: string;
			readonly entityKey: string | null;
			readonly text: string;
			readonly isWhole: boolean;
			readonly score: number;
			readonly reasons: readonly { readonly step: string }[];
		}[];
		readonly omitted: number;
		readonly tokens: number;
	}>;
}
