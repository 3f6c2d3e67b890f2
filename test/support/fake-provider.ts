import type { EmbeddingProvider } from "../../src/index.ts";
import { vectorOf } from "./embedding-server.ts";

/** A provider in this process whose behaviour a test can change while it runs. */
export class FakeProvider implements EmbeddingProvider {
	readonly name: string;
	readonly model: string;
	readonly dimensions: number;
	readonly limits = { maxTexts: 100 };
	/** Every text it was asked for. */
	asked: string[] = [];
	/** Called before each answer; an error thrown here is the answer. */
	onCall: (texts: readonly string[]) => unknown = () => {};

	constructor(name = "fake", model = "m1", dimensions = 8) {
		this.name = name;
		this.model = model;
		this.dimensions = dimensions;
	}

	async embed(texts: readonly string[]): Promise<Float32Array[]> {
		this.asked.push(...texts);
		await this.onCall(texts);
		return texts.map((text) => vectorOf(text, this.dimensions));
	}

	/** Refuses these texts as a server does, with status 400 and their words. */
	refuse(isBad: (text: string) => boolean): void {
		this.onCall = (texts) => {
			const bad = texts.find(isBad);
			if (bad !== undefined)
				throw Object.assign(new Error(`no: ${bad}`), { status: 400 });
		};
	}

	/** Is not there, until `reset`. */
	fail(status = 503): void {
		this.onCall = () => {
			throw Object.assign(new Error("down"), { status });
		};
	}

	reset(): void {
		this.asked = [];
		this.onCall = () => {};
	}
}
