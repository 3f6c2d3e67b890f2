import type { SearchMode } from "../../../../src/studio/api/search.ts";
import { Segments } from "../../components/segments.tsx";
import { namesOf, textOfNames, toggled } from "../../lib/names.ts";
import type { SettingName } from "../../lib/parameters.ts";
import { hrefWith, setParams, useRoute } from "../../lib/router.ts";
import { useStudio } from "../../lib/studio.ts";
import {
	modeOf,
	modeTexts,
	type Prefix,
	settingOf,
	takes,
} from "./settings.ts";

/** The settings of one search; each change is searched with at once. */
export function SettingsForm({ prefix }: { readonly prefix: Prefix }) {
	const { params } = useRoute();
	const studio = useStudio();
	const mode = modeOf(params, prefix);
	return (
		<div class="stack tight">
			<div class="row">
				<Segments
					label={prefix === "" ? "Mode" : "Mode of B"}
					options={studio.modes.map((value) => ({ value, text: value }))}
					chosen={mode}
					href={(value) => hrefWith({ [`${prefix}mode`]: value })}
				/>
				<p class="muted">{modeTexts[mode]}</p>
			</div>
			<div class="settings">
				<Tables prefix={prefix} mode={mode} />
				<NumberField
					prefix={prefix}
					name="limit"
					label="Limit"
					placeholder="20"
				/>
				{takes(mode, "maxTokens") ? (
					<NumberField
						prefix={prefix}
						name="maxTokens"
						label="Max tokens"
						placeholder="4000"
					/>
				) : null}
				{takes(mode, "threshold") ? (
					<NumberField
						prefix={prefix}
						name="threshold"
						label="Least similarity"
						placeholder="0.3"
						step="0.05"
					/>
				) : null}
				{takes(mode, "vectorMode") ? <VectorMode prefix={prefix} /> : null}
				{takes(mode, "weightVector") ? <WeightFields prefix={prefix} /> : null}
			</div>
			{takes(mode, "filter") ? <FilterField prefix={prefix} /> : null}
		</div>
	);
}

function WeightFields({ prefix }: { readonly prefix: Prefix }) {
	const field = (name: SettingName, label: string) => (
		<NumberField
			prefix={prefix}
			name={name}
			label={label}
			placeholder="default"
			step="0.05"
		/>
	);
	return (
		<>
			{field("weightVector", "Weight: vector")}
			{field("weightText", "Weight: text")}
			{field("weightName", "Weight: name")}
		</>
	);
}

/** Only tables that the mode can search. */
function Tables({
	prefix,
	mode,
}: {
	readonly prefix: Prefix;
	readonly mode: SearchMode;
}) {
	const { params } = useRoute();
	const { tables } = useStudio();
	const needsVectors =
		mode === "vector" || mode === "hybrid" || mode === "text";
	const names = tables
		.filter(({ embedFields }) => !needsVectors || embedFields.length > 0)
		.map(({ name }) => name);
	const chosen = namesOf(settingOf(params, prefix, "tables"));
	const toggle = (name: string) =>
		setParams({ [`${prefix}tables`]: textOfNames(toggled(chosen, name)) });
	return (
		<fieldset class="field tables-field" aria-label="Tables">
			<span>Tables</span>
			<span class="row">
				{names.map((name) => (
					<label key={name} class="check chip">
						<input
							type="checkbox"
							checked={chosen.includes(name)}
							onChange={() => toggle(name)}
						/>
						{name}
					</label>
				))}
				{chosen.length === 0 ? <span class="muted">all</span> : null}
			</span>
		</fieldset>
	);
}

interface FieldProps {
	readonly prefix: Prefix;
	readonly name: SettingName;
	readonly label: string;
	readonly placeholder: string;
	readonly step?: string;
}

function NumberField({ prefix, name, label, placeholder, step }: FieldProps) {
	const { params } = useRoute();
	return (
		<label class="field">
			<span>{label}</span>
			<input
				class="input number"
				type="number"
				min="0"
				step={step ?? "1"}
				placeholder={placeholder}
				value={settingOf(params, prefix, name)}
				onChange={({ currentTarget: { value } }) =>
					setParams({ [prefix + name]: value })
				}
			/>
		</label>
	);
}

function VectorMode({ prefix }: { readonly prefix: Prefix }) {
	const { params } = useRoute();
	return (
		<label class="field">
			<span>Compare vectors</span>
			<select
				class="input"
				value={settingOf(params, prefix, "vectorMode")}
				onChange={({ currentTarget: { value } }) =>
					setParams({ [`${prefix}vectorMode`]: value })
				}
			>
				<option value="">auto</option>
				<option value="exact">exact</option>
				<option value="approximate">approximate</option>
			</select>
		</label>
	);
}

function FilterField({ prefix }: { readonly prefix: Prefix }) {
	const { params } = useRoute();
	return (
		<label class="field">
			<span>Filter</span>
			<input
				class="input mono"
				placeholder="created_at > now() - interval '7 days'"
				spellcheck={false}
				autocomplete="off"
				value={settingOf(params, prefix, "filter")}
				onChange={({ currentTarget: { value } }) =>
					setParams({ [`${prefix}filter`]: value })
				}
			/>
		</label>
	);
}
