import { useState } from "preact/hooks";
import { type Params, setParams, useRoute } from "../lib/router.ts";
import { useStudio } from "../lib/studio.ts";
import { Dialog } from "./dialog.tsx";

/** Whose rows the page shows: a tenant, and one of its users. */
export function ScopePicker() {
	const studio = useStudio();
	const { params } = useRoute();
	const [isOpen, setOpen] = useState(false);
	const tenant = studio.tenant.isFixed
		? studio.tenant.id
		: (params.tenant ?? studio.tenant.id);
	const isUserFixed = studio.userId !== undefined;
	const canChange = !studio.tenant.isFixed || !isUserFixed;
	return (
		<div class="scope">
			<div class="scope-line">
				<span class="muted">Tenant</span>
				<strong title={tenant ?? undefined}>{tenant ?? "none"}</strong>
			</div>
			<div class="scope-line">
				<span class="muted">User</span>
				<strong>{userText(studio.userId, params)}</strong>
			</div>
			{canChange ? (
				<button
					type="button"
					class="button small"
					onClick={() => setOpen(true)}
				>
					Change
				</button>
			) : null}
			{isOpen ? <ScopeDialog close={() => setOpen(false)} /> : null}
		</div>
	);
}

function userText(
	fixed: string | null | undefined,
	{ user, shared }: Params,
): string {
	if (fixed !== undefined) return fixed ?? "shared rows";
	if (shared === "yes") return "shared rows";
	return user ?? "all";
}

function ScopeDialog({ close }: { readonly close: () => void }) {
	const studio = useStudio();
	const { params } = useRoute();
	const [tenant, setTenant] = useState(params.tenant ?? studio.tenant.id ?? "");
	const [who, setWho] = useState(
		params.shared === "yes" ? "shared" : params.user ? "user" : "all",
	);
	const [user, setUser] = useState(params.user ?? "");
	const submit = (event: Event) => {
		event.preventDefault();
		setParams({
			tenant: tenant === studio.tenant.id ? undefined : tenant,
			user: who === "user" ? user : undefined,
			shared: who === "shared" ? "yes" : undefined,
			cursor: undefined,
			pageNumber: undefined,
		});
		close();
	};
	const choice = (value: string, text: string) => (
		<label class="check">
			<input
				type="radio"
				name="who"
				checked={who === value}
				onChange={() => setWho(value)}
			/>
			{text}
		</label>
	);
	return (
		<Dialog title="Whose rows" close={close}>
			<form class="stack" onSubmit={submit}>
				{studio.tenant.isFixed ? null : (
					<label class="field">
						<span>Tenant</span>
						<input
							class="input"
							value={tenant}
							required
							onInput={({ currentTarget }) => setTenant(currentTarget.value)}
						/>
					</label>
				)}
				{studio.userId !== undefined ? null : (
					<fieldset class="field">
						<legend>User</legend>
						{choice("all", "Every row of the tenant")}
						{choice("shared", "Shared rows only")}
						{choice("user", "The rows of one user, and shared ones")}
						{who === "user" ? (
							<input
								class="input"
								aria-label="User"
								value={user}
								required
								onInput={({ currentTarget }) => setUser(currentTarget.value)}
							/>
						) : null}
					</fieldset>
				)}
				<div class="row">
					<button type="submit" class="button primary">
						Show these rows
					</button>
				</div>
			</form>
		</Dialog>
	);
}
