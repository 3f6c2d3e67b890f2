export { type RemToolsOptions, remTools } from "./rem-tools.ts";
