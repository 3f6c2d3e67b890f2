import type { ExportCommandOptions } from "../commands/export.ts";
export async function exportMarkdown(
	_o: ExportCommandOptions,
	_s: AbortSignal,
): Promise<void> {}
