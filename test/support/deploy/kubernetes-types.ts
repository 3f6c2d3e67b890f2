import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import type { Manifest } from "./manifests.ts";

/** Where the type of a kind is; kinds of operators without published types are in other-types.ts. */
const modules: Readonly<Record<string, string>> = {
	"v1 Namespace": "kubernetes-types/core/v1.js",
	"v1 ConfigMap": "kubernetes-types/core/v1.js",
	"v1 Service": "kubernetes-types/core/v1.js",
	"apps/v1 Deployment": "kubernetes-types/apps/v1.js",
	"batch/v1 Job": "kubernetes-types/batch/v1.js",
	"networking.k8s.io/v1 NetworkPolicy": "kubernetes-types/networking/v1.js",
	"policy/v1 PodDisruptionBudget": "kubernetes-types/policy/v1.js",
	"barmancloud.cnpg.io/v1 ObjectStore": "./other-types.ts",
	"monitoring.coreos.com/v1 PodMonitor": "./other-types.ts",
	"monitoring.coreos.com/v1 PrometheusRule": "./other-types.ts",
	"kustomize.config.k8s.io/v1beta1 Kustomization": "./other-types.ts",
	"kind.x-k8s.io/v1alpha4 Cluster": "./other-types.ts",
};

const here = dirname(fileURLToPath(import.meta.url));

export function hasType({ body }: Manifest): boolean {
	return `${body.apiVersion} ${body.kind}` in modules;
}

/**
 * What the compiler reports about manifests that are written as constants of their
 * type: unknown fields, wrong types and missing fields, without a cluster.
 */
export function typeProblems(manifests: readonly Manifest[]): string[] {
	const files = new Map(
		manifests.map((manifest, at) => [
			join(here, `manifest-${at}.ts`),
			{ manifest, text: asConstant(manifest) },
		]),
	);
	const options: ts.CompilerOptions = {
		strict: true,
		noEmit: true,
		skipLibCheck: true,
		allowImportingTsExtensions: true,
		module: ts.ModuleKind.ESNext,
		moduleResolution: ts.ModuleResolutionKind.Bundler,
		target: ts.ScriptTarget.ES2022,
		types: [],
	};
	const host = ts.createCompilerHost(options);
	const { fileExists, readFile, getSourceFile } = host;
	host.fileExists = (path) => files.has(path) || fileExists(path);
	host.readFile = (path) => files.get(path)?.text ?? readFile(path);
	host.getSourceFile = (path, target, ...rest) => {
		const file = files.get(path);
		return file === undefined
			? getSourceFile(path, target, ...rest)
			: ts.createSourceFile(path, file.text, target);
	};
	const program = ts.createProgram([...files.keys()], options, host);
	return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
		const name = files.get(file?.fileName ?? "")?.manifest.name;
		return `${name}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
	});
}

function asConstant({ body, isPatch }: Manifest): string {
	const module = modules[`${body.apiVersion} ${body.kind}`];
	const type = isPatch ? `Part<${body.kind}>` : body.kind;
	return `import type { ${body.kind} } from ${JSON.stringify(module)};
import type { Part } from "./other-types.ts";
export type Unused = Part<string>;
export const manifest: ${type} = ${JSON.stringify(body, null, 1)};`;
}
