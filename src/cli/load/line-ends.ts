const lineFeed = 10;
const carriageReturn = 13;

/** Finds the lines of a text by byte offsets. CRLF ends one line, not two. */
export class LineEnds {
	/** Offsets behind the line ends, in ascending order. */
	#ends: number[] = [];
	/** How many of them are behind the last offset that was asked for. */
	#passed = 0;
	/** Line ends that were dropped from the start of the list. */
	#dropped = 0;
	#bytes = 0;
	#isAfterReturn = false;

	/** The next bytes of the text. */
	add(bytes: Uint8Array): void {
		this.#dropPassed();
		for (const byte of bytes) {
			this.#bytes++;
			if (byte === lineFeed && this.#isAfterReturn)
				this.#ends[this.#ends.length - 1] = this.#bytes;
			else if (byte === lineFeed || byte === carriageReturn)
				this.#ends.push(this.#bytes);
			this.#isAfterReturn = byte === carriageReturn;
		}
	}

	/** The line, from 1, of a byte; offsets are asked for in ascending order. */
	lineAt(offset: number): number {
		while (offset >= (this.#ends[this.#passed] ?? Number.POSITIVE_INFINITY))
			this.#passed++;
		return this.#dropped + this.#passed + 1;
	}

	/** The last line, from 1, of what was added. */
	get lastLine(): number {
		const isEnded = this.#ends.at(-1) === this.#bytes;
		return this.#dropped + this.#ends.length + (isEnded ? 0 : 1);
	}

	#dropPassed(): void {
		// The last one may turn out to be the first half of a CRLF.
		const count = Math.max(0, this.#passed - 1);
		this.#ends = this.#ends.slice(count);
		this.#passed -= count;
		this.#dropped += count;
	}
}
