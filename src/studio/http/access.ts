import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { HttpProblem } from "./problem.ts";

/** Who may use the studio, and from where. */
export interface AccessOptions {
	/** In the address that is opened first: exchanged for a cookie. */
	readonly token: string | undefined;
	/** Decides instead of the token. */
	readonly authorize:
		| ((request: Request) => boolean | Promise<boolean>)
		| undefined;
	/** Names by which the studio may be called: the Host header without its port. */
	readonly hosts: readonly string[];
	/** Origins of pages that may call it besides its own. */
	readonly origins: readonly string[];
	/** Of the cookie: where the studio is mounted, with a slash at its end. */
	readonly path: string;
}

export const localHosts = ["127.0.0.1", "localhost", "[::1]"];

/** A header that no form can send, and no script of another origin without a preflight. */
const ownHeader = "x-rem-studio";

/** Checks who calls: Host and Origin, then the cookie or the decision of the application. */
export class Access {
	readonly #options: AccessOptions;
	/** Cookies do not know ports: each token has one of its own. */
	readonly #cookie: string;
	readonly #session = randomBytes(32).toString("base64url");

	constructor(options: AccessOptions) {
		this.#options = options;
		const name = createHash("sha256").update(this.#session).digest("hex");
		this.#cookie = `rem_studio_${name.slice(0, 12)}`;
	}

	/** Throws unless the request is addressed to the studio, and not sent by another site's page. */
	checkOrigin(request: Request, isChange: boolean): void {
		const { hosts, origins } = this.#options;
		const host = request.headers.get("host") ?? new URL(request.url).host;
		if (!hosts.includes(hostnameOf(host)))
			throw forbidden(
				"the Host header is not one of the studio's",
				"open the address that the command printed; an application lists its names in `hosts`",
			);
		const origin = request.headers.get("origin");
		const isOwn =
			origin === null || hostOf(origin) === host || origins.includes(origin);
		const site = request.headers.get("sec-fetch-site");
		// A link from elsewhere may open the page; nothing else may be asked from there.
		const isForeign =
			isChange && (site === "cross-site" || site === "same-site");
		if (!isOwn || (isForeign && !origins.includes(origin ?? "")))
			throw forbidden("the request comes from another site's page");
	}

	/** Throws unless it is the studio's own page that sends a body. */
	checkPost(request: Request): void {
		if (request.headers.get(ownHeader) !== "1")
			throw forbidden(`the header ${ownHeader}: 1 is missing`);
		const type = request.headers.get("content-type") ?? "";
		if (!/^application\/json\s*(;|$)/i.test(type))
			throw new HttpProblem(415, {
				code: "VALIDATION",
				message: "the body must be application/json",
			});
	}

	/** Throws 401 unless the caller is known. */
	async checkCaller(request: Request): Promise<void> {
		const { authorize } = this.#options;
		if (authorize !== undefined) {
			if ((await authorize(request)) === true) return;
			throw unauthorized("the application refuses this request");
		}
		const cookies = (request.headers.get("cookie") ?? "").split(/;\s*/);
		const given = cookies
			.filter((cookie) => cookie.startsWith(`${this.#cookie}=`))
			.map((cookie) => cookie.slice(this.#cookie.length + 1));
		if (given.some((value) => isSame(value, this.#session))) return;
		throw unauthorized("no valid session");
	}

	/** Where the address has the token: to the page, with the cookie. */
	exchange(request: Request): Response | undefined {
		const url = new URL(request.url);
		const given = url.searchParams.get("token");
		if (given === null || this.#options.authorize !== undefined)
			return undefined;
		if (!isSame(given, this.#options.token ?? ""))
			throw unauthorized("the token of the address is not valid");
		const isSecure =
			url.protocol === "https:" ||
			/^https\b/.test(request.headers.get("x-forwarded-proto") ?? "");
		const attributes = [
			`${this.#cookie}=${this.#session}`,
			`Path=${this.#options.path}`,
			"HttpOnly",
			"SameSite=Strict",
			...(isSecure ? ["Secure"] : []),
		];
		return new Response(null, {
			status: 303,
			headers: {
				location: this.#options.path,
				"set-cookie": attributes.join("; "),
			},
		});
	}
}

/** In a time that does not depend on what differs; the hashes have one length. */
function isSame(given: string, expected: string): boolean {
	if (expected === "") return false;
	const hash = (text: string) => createHash("sha256").update(text).digest();
	return timingSafeEqual(hash(given), hash(expected));
}

function hostOf(origin: string): string | undefined {
	return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** `localhost` of `localhost:4400`, `[::1]` of `[::1]:4400`. */
function hostnameOf(host: string): string {
	return host.replace(/:\d*$/, "").toLowerCase();
}

function forbidden(message: string, hint?: string): HttpProblem {
	return new HttpProblem(403, {
		code: "FORBIDDEN",
		message,
		...(hint === undefined ? {} : { hint }),
	});
}

function unauthorized(message: string): HttpProblem {
	return new HttpProblem(401, {
		code: "UNAUTHORIZED",
		message,
		hint: "open the address that `rem studio` printed, with its token",
	});
}
