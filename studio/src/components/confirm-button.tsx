import { useState } from "preact/hooks";

/** A button that asks once more in its place. */
export function ConfirmButton({
	label,
	question,
	confirmed,
}: {
	readonly label: string;
	readonly question: string;
	readonly confirmed: () => void;
}) {
	const [isAsking, setAsking] = useState(false);
	if (!isAsking)
		return (
			<button
				type="button"
				class="button danger"
				onClick={() => setAsking(true)}
			>
				{label}
			</button>
		);
	return (
		<fieldset class="row" aria-label={question}>
			<span>{question}</span>
			<button
				type="button"
				class="button danger"
				onClick={() => {
					setAsking(false);
					confirmed();
				}}
			>
				{label}
			</button>
			<button type="button" class="button" onClick={() => setAsking(false)}>
				No
			</button>
		</fieldset>
	);
}
