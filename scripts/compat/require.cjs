// Requires the package from CommonJS, and prints "ok" if import() gives the same objects.
const required = require("remdb");
import("remdb").then((imported) => {
	const names = Object.keys(required);
	const differing = names.filter((name) => required[name] !== imported[name]);
	if (names.length === 0 || differing.length > 0)
		throw new Error(`required and imported differ: ${differing}`);
	console.log("ok");
});
