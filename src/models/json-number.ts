import { RemError } from "../errors.ts";

/** Shared by all copies of the package in a process, where `instanceof` fails. */
const brand: unique symbol = Symbol.for("remdb.JsonNumber");

/**
 * A number in JSON that a JavaScript number cannot represent with the same decimal
 * value, as its exact text. Reads return one only where a number would be
 * another value; what is written back is the text. A calculation uses the
 * nearest number. `JSON.stringify` writes it as a string, which retains its digits.
 *
 * @example
 * const id = new JsonNumber("653247040368672769");
 * await service.upsert({ …, metadata: { id } }); // stored as a number, every digit of it
 * `${id}` // "653247040368672769"
 */
export class JsonNumber {
	/** The number as JSON writes it. */
	readonly text: string;

	constructor(value: string | number | bigint) {
		const text = ["string", "number", "bigint"].includes(typeof value)
			? String(value)
			: undefined;
		if (!isJsonNumberText(text))
			throw new RemError("VALIDATION", "a JsonNumber is not a JSON number", {
				hint: 'new JsonNumber("653247040368672769"): digits, a decimal point and an exponent as JSON writes them',
			});
		this.text = text;
	}

	get [brand](): true {
		return true;
	}

	/** The nearest number, `Infinity` beyond the largest. */
	valueOf(): number {
		return Number(this.text);
	}

	toString(): string {
		return this.text;
	}

	/** A string: JavaScript's JSON has no exact numbers before Node.js 22. */
	toJSON(): string {
		return this.text;
	}
}

/** Whether the value is a `JsonNumber`, of this or another copy of the package. */
export function isJsonNumber(value: unknown): value is JsonNumber {
	return (
		typeof value === "object" &&
		value !== null &&
		brand in value &&
		value[brand] === true
	);
}

/** Whether the text is a number by the grammar of JSON. */
export function isJsonNumberText(text: unknown): text is string {
	return (
		typeof text === "string" &&
		/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)
	);
}

/** Whether a JavaScript number has the decimal value of the text. */
export function isExactNumber(text: string): boolean {
	const number = Number(text);
	if (!Number.isFinite(number)) return false;
	const shortest = String(number);
	return shortest === text || decimalOf(shortest) === decimalOf(text);
}

/** Whether the number is whole, however it is written. */
export function isExactInteger({ text }: JsonNumber): boolean {
	const decimal = decimalOf(text);
	return decimal === "0" || !decimal.includes("e-");
}

/** Whether two numbers, plain or exact, have the same decimal value. */
export function equalNumbers(
	a: number | JsonNumber,
	b: number | JsonNumber,
): boolean {
	return decimalOf(String(a)) === decimalOf(String(b));
}

// The type `numeric` of PostgreSQL, which jsonb stores numbers as.
const maxDigitsBeforePoint = 131_072;
const maxDigitsBehindPoint = 16_383;

/** Why PostgreSQL cannot store the number, if it cannot. */
export function jsonNumberProblem({ text }: JsonNumber): string | undefined {
	if (!isJsonNumberText(text)) return "contains a JsonNumber without a number";
	const { before, behind } = digitsOf(text);
	return before > maxDigitsBeforePoint || behind > maxDigitsBehindPoint
		? `contains a number of more than ${maxDigitsBeforePoint} digits before or ${maxDigitsBehindPoint} behind the decimal point`
		: undefined;
}

/** Digits before and behind the point once the exponent is applied. */
function digitsOf(text: string): { before: number; behind: number } {
	const { digits, fraction, exponent } = partsOf(text);
	return {
		before: digits === "" ? 0 : digits.length - fraction + exponent,
		behind: fraction - exponent,
	};
}

/** The value in one form: sign, digits without zeros at either end, exponent. */
function decimalOf(text: string): string {
	const { sign, digits, fraction, exponent } = partsOf(text);
	if (digits === "") return "0";
	let end = digits.length;
	while (digits[end - 1] === "0") end--;
	const scale = exponent - fraction + digits.length - end;
	return `${sign}${digits.slice(0, end)}e${scale}`;
}

/** A number's digits without leading zeros, and how many of them are the fraction. */
function partsOf(text: string) {
	const sign = text.startsWith("-") ? "-" : "";
	const [mantissa = "", exponent = "0"] = text
		.slice(sign.length)
		.toLowerCase()
		.split("e");
	const [whole = "", fraction = ""] = mantissa.split(".");
	const all = whole + fraction;
	let start = 0;
	while (all[start] === "0") start++;
	return {
		sign,
		digits: all.slice(start),
		fraction: fraction.length,
		exponent: Number(exponent),
	};
}
