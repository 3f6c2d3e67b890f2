import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { CrdSchemas } from "../../support/deploy/crd-schemas.ts";
import {
	hasType,
	typeProblems,
} from "../../support/deploy/kubernetes-types.ts";
import {
	built,
	folders,
	type Manifest,
	manifests,
	shown,
} from "../../support/deploy/manifests.ts";

// The manifests against the schemas of what they are for: Kubernetes' own kinds
// always, the operator's where its CustomResourceDefinitions are at hand.

const data = process.env.REM_TEST_DATA;
const crdFolder = data === undefined ? undefined : join(data, "crds");
const crds =
	crdFolder !== undefined && existsSync(crdFolder)
		? new CrdSchemas(crdFolder)
		: undefined;

const isOperators = ({ body }: Manifest) =>
	String(body.apiVersion).startsWith("postgresql.cnpg.io/");
const kustomized = folders.map((folder) => built(folder));
const hasKubectl = !kustomized.includes(undefined);
const all = [
	...manifests,
	...shown,
	...kustomized.flatMap((found) => found ?? []),
];

test.skipIf(!hasKubectl)(
	`what kustomize builds is checked as well${hasKubectl ? "" : ": no kubectl here"}`,
	() => {
		const counts = kustomized.map((found) => found?.length);
		expect(counts).toEqual([17, 20, 27]);
	},
);

test("every manifest is of a kind that is checked", () => {
	const unknown = all.filter(
		(manifest) => !hasType(manifest) && !isOperators(manifest),
	);
	const isSecret = ({ body }: Manifest) => body.kind === "Secret";
	expect(unknown.filter((manifest) => !isSecret(manifest))).toEqual([]);
});

describe("Kubernetes' kinds", () => {
	const app = manifestNamed("base/91-app.yaml Deployment rem-app");
	const mistaken: Manifest[] = [
		{ replicas: 1, replica: 2 },
		{ replicas: "two" },
		{ containers: [] },
	].flatMap((mistake, at) => {
		const spec = { ...app.body.spec, ...mistake };
		return [
			{ ...app, name: `whole ${at}`, body: { ...app.body, spec } },
			{
				...app,
				name: `patch ${at}`,
				body: { ...app.body, spec: mistake },
				isPatch: true,
			},
		];
	});
	let problems: string[] = [];
	beforeAll(() => {
		problems = typeProblems([...all.filter(hasType), ...mistaken]);
	});

	test("have no unknown, wrong or missing field", () => {
		const planted = /^(whole|patch) \d/;
		expect(problems.filter((problem) => !planted.test(problem))).toEqual([]);
	});

	test("an unknown field, a wrong type and a wrong depth are caught, in patches too", () => {
		for (const { name } of mistaken)
			expect(problems.join("\n")).toContain(`${name}: `);
	});
});

describe.skipIf(crds === undefined)(
	`the operator's kinds${crds === undefined ? ": no CustomResourceDefinitions in REM_TEST_DATA/crds" : ""}`,
	() => {
		const problems = (manifest: Manifest) =>
			(crds as CrdSchemas)
				.problems(manifest)
				.map((problem) => `${manifest.name}: ${problem}`);

		test("have no unknown, wrong or missing field", () => {
			const found = all.filter(isOperators);
			expect(found.flatMap(problems)).toEqual([]);
			const kinds = new Set(found.map(({ body }) => body.kind));
			expect([...kinds].sort()).toEqual([
				"Cluster",
				"Database",
				"DatabaseRole",
				"ImageCatalog",
				"Pooler",
				"ScheduledBackup",
			]);
		});

		test.each([
			["an unknown field", { instnaces: 3 }, "instnaces"],
			["one far inside", { postgresql: { extension: [] } }, "extension"],
			["a wrong type", { instances: "three" }, "/spec/instances"],
			["a value that is none", { primaryUpdateMethod: "swap" }, "swap|allowed"],
			[
				"a field without what it needs",
				{ plugins: [{ isWALArchiver: true }] },
				"name",
			],
		])("%s is caught", (_, mistake, named) => {
			const cluster = manifestNamed("base/10-cluster.yaml Cluster rem-db");
			const spec = { ...cluster.body.spec, ...mistake };
			const wrong = { ...cluster, body: { ...cluster.body, spec } };
			expect(problems(wrong).join("\n")).toMatch(new RegExp(named));
		});

		test("in a patch too, which may omit and remove fields", () => {
			const patch = manifestNamed("overlays/local/cluster.yaml Cluster rem-db");
			expect(patch).toMatchObject({ isPatch: true });
			expect(patch.body.spec.walStorage).toBe(null);
			const spec = { ...patch.body.spec, walStorag: null };
			const wrong = { ...patch, body: { ...patch.body, spec } };
			expect(problems(wrong).join("\n")).toContain("walStorag");
		});
	},
);

function manifestNamed(name: string): Manifest {
	const found = manifests.find((manifest) => manifest.name === name);
	if (found === undefined) throw new Error(`no manifest ${name}`);
	return found;
}
