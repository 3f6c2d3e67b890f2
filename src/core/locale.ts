import type { Database } from "../db/database.ts";
import { sql } from "../sql.ts";

interface LocaleProblem {
	readonly found: string;
	readonly remedy: string;
}

export interface Locale {
	/** `builtin C.UTF-8, LC_CTYPE C.UTF-8` */
	readonly name: string;
	readonly problems: readonly LocaleProblem[];
}

/**
 * What the database's locale takes from FUZZY, hybrid search and filters. It is
 * tried and not read from names: these differ from one system to the next, and
 * pg_trgm asks the C library whatever the locale provider is.
 */
export async function readLocale(db: Database): Promise<Locale> {
	const { rows } = await db.query<{
		provider: string;
		locale: string;
		ctype: string;
		has_trigrams: boolean;
		folds_all: boolean;
		folds_ascii: boolean;
	}>(sql`
SELECT CASE d.datlocprovider WHEN 'b' THEN 'builtin' WHEN 'i' THEN 'icu' ELSE 'libc' END AS provider,
  coalesce(d.datlocale, d.datcollate::text) AS locale, d.datctype::text AS ctype,
  show_trgm('é') <> '{}' AND show_trgm('ж') <> '{}' AND show_trgm('王') <> '{}' AS has_trigrams,
  lower('É') = 'é' AND lower('Ж') = 'ж' AS folds_all, lower('I') = 'i' AS folds_ascii
FROM pg_database AS d WHERE d.datname = current_database()`);
	const [row] = rows;
	if (row === undefined) return { name: "unknown", problems: [] };
	const remedy =
		"only a new database has another: createdb --template=template0 --locale-provider=builtin --builtin-locale=C.UTF-8 --lc-ctype=C.UTF-8 NAME, then pg_dump and pg_restore into it";
	const problems: LocaleProblem[] = [];
	if (!row.has_trigrams)
		problems.push({
			found: `LC_CTYPE is "${row.ctype}": FUZZY finds no name outside ASCII but those in Chinese, Japanese, Thai and other scripts without spaces, and hybrid search none by its name`,
			remedy,
		});
	if (!row.folds_all)
		problems.push({
			found: `by the locale "${row.locale}" only ASCII letters have upper and lower case: FUZZY, ILIKE, lower() and the words of hybrid search distinguish É from é`,
			remedy,
		});
	if (!row.folds_ascii)
		problems.push({
			found: `by the locale "${row.locale}" i is not the lower case of I: FUZZY, ILIKE, lower() and the words of hybrid search distinguish TITLE from title`,
			remedy,
		});
	const name = `${row.provider} ${row.locale}, LC_CTYPE ${row.ctype}`;
	return { name, problems };
}
