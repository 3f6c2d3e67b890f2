import { useEffect, useState } from "preact/hooks";
import type {
	HealthEvent,
	HealthPartName,
	HealthSnapshot,
} from "../../../../src/studio/api/health.ts";

const parts: readonly HealthPartName[] = [
	"checks",
	"cache",
	"embeddings",
	"indexes",
	"pool",
	"statements",
];

const nothing: HealthSnapshot = {
	checks: null,
	cache: null,
	embeddings: null,
	indexes: null,
	pool: null,
	statements: null,
};

const reconnectMs = 2_000;

/** The parts as the studio sends them, for as long as the page is open. */
export function useHealth(): {
	readonly health: HealthSnapshot;
	readonly isLive: boolean;
} {
	const [health, setHealth] = useState(nothing);
	const [isLive, setLive] = useState(false);
	useEffect(() => {
		let source: EventSource | undefined;
		let timer: number | undefined;
		const take = ({ data }: MessageEvent<string>) => {
			const event = JSON.parse(data) as HealthEvent;
			setHealth((health) => ({ ...health, [event.part]: event.value }));
		};
		const connect = () => {
			const stream = new EventSource("api/events");
			source = stream;
			stream.onopen = () => setLive(true);
			for (const part of parts) stream.addEventListener(part, take);
			stream.onerror = () => {
				setLive(false);
				// The browser connects again by itself, unless the answer was an error.
				if (stream.readyState === EventSource.CLOSED)
					timer = window.setTimeout(connect, reconnectMs);
			};
		};
		const disconnect = () => {
			source?.close();
			source = undefined;
			window.clearTimeout(timer);
		};
		// A browser has six connections to a server, for all its tabs together:
		// those that are not looked at must not occupy them.
		const follow = () => {
			if (document.visibilityState === "hidden") {
				disconnect();
				setLive(false);
			} else if (source === undefined) connect();
		};
		follow();
		document.addEventListener("visibilitychange", follow);
		return () => {
			document.removeEventListener("visibilitychange", follow);
			disconnect();
		};
	}, []);
	return { health, isLive };
}
