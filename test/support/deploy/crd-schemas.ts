import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { documents, type Manifest } from "./manifests.ts";

type Schema = Readonly<Record<string, unknown>>;

/** What is wrong with manifests, by the schemas of a folder of CustomResourceDefinitions. */
export class CrdSchemas {
	readonly #whole = new Map<string, ValidateFunction>();
	readonly #partial = new Map<string, ValidateFunction>();

	constructor(folder: string) {
		const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
		for (const file of files)
			for (const crd of documents(readFileSync(join(folder, file), "utf8")))
				this.#add(crd.spec);
	}

	get kinds(): string[] {
		return [...this.#whole.keys()];
	}

	problems({ body, isPatch }: Manifest): string[] {
		const validators = isPatch ? this.#partial : this.#whole;
		const validate = validators.get(`${body.apiVersion} ${body.kind}`);
		if (validate === undefined) return [`unknown kind ${body.kind}`];
		if (validate(body)) return [];
		return (validate.errors ?? []).map(
			({ instancePath, message, params }) =>
				`${instancePath} ${message} ${JSON.stringify(params)}`,
		);
	}

	#add({
		group,
		names,
		versions,
	}: {
		group: string;
		names: { kind: string };
		versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
	}): void {
		for (const { name, schema } of versions) {
			const key = `${group}/${name} ${names.kind}`;
			const { openAPIV3Schema } = schema;
			// A schema of OpenAPI has words that ajv does not know.
			const ajv = new Ajv({
				strict: false,
				validateFormats: false,
				allErrors: true,
			});
			this.#whole.set(key, ajv.compile(closed(openAPIV3Schema, false)));
			this.#partial.set(key, ajv.compile(closed(openAPIV3Schema, true)));
		}
	}
}

/**
 * The schema with unknown fields forbidden, as the API server prunes them
 * without a word. A patch need not have what is required, and removes with null.
 */
function closed(schema: Schema, isPatch: boolean): Schema {
	const { properties, items, additionalProperties, required, ...rest } =
		schema as {
			properties?: Record<string, Schema>;
			items?: Schema;
			additionalProperties?: Schema | boolean;
			required?: string[];
		};
	const open = schema["x-kubernetes-preserve-unknown-fields"] === true;
	return {
		...rest,
		...(isPatch && schema.type !== undefined ? { nullable: true } : {}),
		...(required === undefined || isPatch ? {} : { required }),
		...(items === undefined ? {} : { items: closed(items, isPatch) }),
		...(typeof additionalProperties === "object"
			? { additionalProperties: closed(additionalProperties, isPatch) }
			: {}),
		...(properties === undefined
			? {}
			: {
					additionalProperties: open,
					properties: Object.fromEntries(
						Object.entries(properties).map(([name, property]) => [
							name,
							closed(property, isPatch),
						]),
					),
				}),
	};
}
