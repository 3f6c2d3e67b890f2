export { remTools } from "./rem-tools.ts";
export type { RemToolsOptions } from "./tool-records.ts";
