import { useState } from "preact/hooks";
import { keysAreOn, switchKeys } from "../lib/keys.ts";
import { Dialog } from "./dialog.tsx";

const keys = [
	["/", "go to the search field"],
	["j", "next row"],
	["k", "previous row"],
	["Enter", "open the row"],
	["Esc", "leave the field, close the panel"],
	["1 … 5", "go to a page"],
	["Ctrl Enter", "run the query of the console"],
	["?", "this list"],
] as const;

export function Help({ close }: { readonly close: () => void }) {
	const [isOn, setOn] = useState(keysAreOn);
	return (
		<Dialog title="Keyboard" close={close}>
			<table>
				<tbody>
					{keys.map(([key, meaning]) => (
						<tr key={key}>
							<td>
								<kbd>{key}</kbd>
							</td>
							<td>{meaning}</td>
						</tr>
					))}
				</tbody>
			</table>
			<label class="check">
				<input
					type="checkbox"
					checked={isOn}
					onChange={({ currentTarget: { checked } }) => {
						switchKeys(checked);
						setOn(checked);
					}}
				/>
				Keys of one character are on
			</label>
			<p class="muted">
				Every state of a page is in its address: copy it to come back, or to
				show it to another person who runs the studio.
			</p>
		</Dialog>
	);
}
