import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

export const deployFolder = fileURLToPath(
	new URL("../../../deploy", import.meta.url),
);
const root = join(deployFolder, "cloudnativepg");

/** One document of a YAML file. */
export interface Manifest {
	/** `base/10-cluster.yaml Cluster rem-db` */
	readonly name: string;
	readonly folder: string;
	readonly file: string;
	// biome-ignore lint/suspicious/noExplicitAny: any YAML; the schemas describe its content
	readonly body: any;
	/** Whether it only has what differs from a manifest of the base. */
	readonly isPatch: boolean;
}

export const folders = ["base", "overlays/local", "overlays/production"];

/** Every document in deploy/cloudnativepg. */
export const manifests: readonly Manifest[] = folders.flatMap((folder) => {
	const files = readdirSync(join(root, folder)).filter((name) =>
		name.endsWith(".yaml"),
	);
	const patches = patchesOf(folder);
	return files.flatMap((file) =>
		documents(readFileSync(join(root, folder, file), "utf8")).map((body) => ({
			name: `${folder}/${file} ${nameOf(body)}`,
			folder,
			file,
			body,
			isPatch: patches.includes(file),
		})),
	);
});

/** The manifests that the guide shows. */
export const shown: readonly Manifest[] = [
	...textOf("README.md").matchAll(/^```yaml\n([\s\S]*?)^```$/gm),
].flatMap(([, text = ""]) =>
	documents(text).map((body) => ({
		name: `README.md ${nameOf(body)}`,
		folder: "",
		file: "README.md",
		body,
		isPatch: false,
	})),
);

/** Those of the base and of a folder that stand for themselves, by kind. */
export function ofKind(kind: string): readonly Manifest[] {
	return manifests.filter(
		({ body, isPatch }) => body.kind === kind && !isPatch,
	);
}

export function textOf(path: string): string {
	return readFileSync(join(root, path), "utf8");
}

// biome-ignore lint/suspicious/noExplicitAny: as above
export function documents(text: string): any[] {
	return parseAllDocuments(text).map((document) => {
		if (document.errors.length > 0) throw document.errors[0];
		return document.toJS();
	});
}

function patchesOf(folder: string): string[] {
	const [kustomization] = documents(textOf(`${folder}/kustomization.yaml`));
	const patches: { path: string }[] = kustomization.patches ?? [];
	return patches.map(({ path }) => path);
}

function nameOf(body: { kind?: string; metadata?: { name?: string } }): string {
	return `${body?.kind} ${body?.metadata?.name ?? ""}`.trim();
}

/** What kustomize makes of an overlay; `undefined` where there is no kubectl. */
export function built(folder: string): readonly Manifest[] | undefined {
	const { status, stdout, stderr, error } = spawnSync(
		"kubectl",
		["kustomize", join(root, folder)],
		{ encoding: "utf8" },
	);
	if (error !== undefined) return undefined;
	if (status !== 0) throw new Error(stderr);
	return documents(stdout).map((body) => ({
		name: `${folder} as built: ${nameOf(body)}`,
		folder,
		file: "",
		body,
		isPatch: false,
	}));
}
