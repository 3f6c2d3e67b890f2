import { excerpt } from "../../lib/format.ts";
import type { Position } from "./layout.ts";

/** A node and its position. */
export interface LabelledNode extends Position {
	readonly id: string;
	readonly title: string;
	/** Whether it has a label even where that covers another label. */
	readonly isNeeded: boolean;
}

export interface Label {
	readonly text: string;
	/** Whether it is left of its node. */
	readonly isLeft: boolean;
}

interface Frame {
	readonly width: number;
	readonly height: number;
	/** Of the labels, in pixels. */
	readonly fontSize: number;
}

interface Box {
	readonly left: number;
	readonly right: number;
	readonly top: number;
	readonly bottom: number;
}

const maxCharacters = 28;
const minCharacters = 8;

/** Labels that stay within the frame and cover neither nodes nor each other, in the order of the nodes: earlier ones have precedence. */
export function placeLabels(
	nodes: readonly LabelledNode[],
	frame: Frame,
): ReadonlyMap<string, Label> {
	const labels = new Map<string, Label>();
	const circles = nodes.map((node) => circleOf(node, frame));
	const taken: Box[] = [];
	for (const [at, node] of nodes.entries()) {
		const free = candidates(node, frame).find((label) => {
			const box = boxOf(node, label, frame);
			const isCovering = (other: Box) => overlap(box, other);
			return !(
				taken.some(isCovering) ||
				circles.some((other, index) => index !== at && isCovering(other))
			);
		});
		const label = free ?? (node.isNeeded ? candidates(node, frame)[0] : free);
		if (label === undefined) continue;
		taken.push(boxOf(node, label, frame));
		labels.set(node.id, label);
	}
	return labels;
}

/** Possible labels: on the side away from the middle, then on the other, whole or shortened. */
function candidates(node: LabelledNode, frame: Frame): Label[] {
	const prefersLeft = node.x < frame.width / 2;
	return [prefersLeft, !prefersLeft].flatMap((isLeft): Label[] => {
		const room =
			(isLeft ? node.x : frame.width - node.x) - 1.2 * frame.fontSize;
		const whole = excerpt(node.title, maxCharacters);
		if (widthOf(whole, frame) <= room) return [{ text: whole, isLeft }];
		const fitting = Math.floor(room / (meanWidth * frame.fontSize));
		if (fitting < minCharacters) return [];
		return [{ text: excerpt(node.title, fitting), isLeft }];
	});
}

function circleOf({ x, y }: Position, { fontSize }: Frame): Box {
	const r = 0.58 * fontSize;
	return { left: x - r, right: x + r, top: y - r, bottom: y + r };
}

function boxOf(node: Position, { text, isLeft }: Label, frame: Frame): Box {
	const near = node.x + (isLeft ? -0.8 : 0.8) * frame.fontSize;
	const far = near + (isLeft ? -1 : 1) * widthOf(text, frame);
	return {
		left: Math.min(near, far),
		right: Math.max(near, far),
		top: node.y - 0.6 * frame.fontSize,
		bottom: node.y + 0.6 * frame.fontSize,
	};
}

function overlap(a: Box, b: Box): boolean {
	return (
		a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
	);
}

/** In parts of the font's size; characters of East Asia and pictures are square. */
const meanWidth = 0.6;
const squareFrom = 0x2e80;

function widthOf(text: string, { fontSize }: Frame): number {
	const widths = [...text].map((character) =>
		(character.codePointAt(0) ?? 0) >= squareFrom ? 1.1 : meanWidth,
	);
	return fontSize * widths.reduce((sum, width) => sum + width, 0);
}
