import type { Identity } from "../memory.ts";

/** Who a bearer token is of, or why it is refused. */
export type Verified =
	| { readonly kind: "known"; readonly identity: Identity }
	/** 401: unknown, expired, of another issuer or for another server. */
	| { readonly kind: "invalid"; readonly reason: string }
	/** 403: known, and without the right to be here. */
	| { readonly kind: "insufficient"; readonly reason: string };

/** Finds whose a bearer token is. */
export interface TokenVerifier {
	verify(token: string): Promise<Verified>;
}

/** Several verifiers: the first that knows the token decides. */
export function anyOf(verifiers: readonly TokenVerifier[]): TokenVerifier {
	return {
		async verify(token) {
			let last: Verified = { kind: "invalid", reason: "unknown token" };
			for (const verifier of verifiers) {
				last = await verifier.verify(token);
				if (last.kind !== "invalid") return last;
			}
			return last;
		},
	};
}
