import * as z from "zod";
import { defineEntity } from "./entity.ts";

const text = () => z.string().optional();
const count = () => z.number().int().nonnegative();
const json = () => z.record(z.string(), z.unknown());
const jsonList = () => z.array(json()).default([]);
const textList = () => z.array(z.string()).default([]);

const resourceFields = {
	name: z.string(),
	description: text(),
	content: text(),
	uri: text(),
	ordinal: count().optional(),
	timestamp: z.date().optional(),
	category: text(),
	relatedEntities: jsonList(),
};

/** A document, page or chunk: what an agent knows. */
export const Resource = defineEntity("resources", resourceFields, {
	entityKeyField: "name",
	indexes: [["uri", "ordinal"], ["category"]],
});

/** A resource that is a picture, with what a vision model saw in it. */
export const ImageResource = defineEntity(
	"image_resources",
	{
		...resourceFields,
		imageWidth: count().optional(),
		imageHeight: count().optional(),
		imageFormat: text(),
		visionDescription: text().meta({ embed: true }),
		visionProvider: text(),
		visionModel: text(),
	},
	{ entityKeyField: "name", indexes: [["uri", "ordinal"]] },
);

/** A span of time with who was there and what it was about. */
export const Moment = defineEntity(
	"moments",
	{
		name: z.string(),
		momentType: text(),
		category: text(),
		startsTimestamp: z.date().optional(),
		endsTimestamp: z.date().optional(),
		presentPersons: jsonList(),
		emotionTags: textList(),
		topicTags: textList(),
		summary: text(),
		sourceResourceIds: textList(),
		sourceSessionId: text(),
		previousMomentKeys: textList(),
	},
	{
		entityKeyField: "name",
		indexes: [["startsTimestamp"], ["sourceSessionId"]],
	},
);

/** A person an agent works for or knows of. */
export const User = defineEntity(
	"users",
	{
		name: z.string(),
		email: text(),
		role: text(),
		tier: z
			.enum(["blocked", "anonymous", "free", "basic", "silver", "gold"])
			.default("free"),
		anonymousIds: textList(),
		secPolicy: json().default({}),
		summary: text(),
		interests: textList(),
		preferredTopics: textList(),
		activityLevel: text(),
		lastActiveAt: z.date().optional(),
	},
	{ entityKeyField: "name", indexes: [["email"]] },
);

/** One message of a session. It has no natural key: read it by session. */
export const Message = defineEntity(
	"messages",
	{
		content: z.string(),
		messageType: text(),
		sessionId: text(),
		prompt: text(),
		model: text(),
		tokenCount: count().optional(),
		traceId: text(),
		spanId: text(),
	},
	{ entityKeyField: null },
);

/** A conversation. */
export const Session = defineEntity(
	"sessions",
	{
		name: z.string(),
		mode: z.enum(["normal", "evaluation", "clone"]).default("normal"),
		description: text(),
		originalTraceId: text(),
		settingsOverrides: json().optional(),
		prompt: text(),
		agentSchemaUri: text(),
		messageCount: count().default(0),
		totalTokens: count().optional(),
		lastMomentMessageIdx: count().optional(),
	},
	{ entityKeyField: "name" },
);

/** A session that its owner lets another user read. */
export const SharedSession = defineEntity(
	"shared_sessions",
	{
		sessionId: z.string(),
		ownerUserId: z.string(),
		sharedWithUserId: z.string(),
	},
	{
		entityKeyField: null,
		createEmbeddings: false,
		indexes: [["sharedWithUserId"]],
	},
);

/** A file that was taken in, and how far its processing is. */
export const File = defineEntity(
	"files",
	{
		name: z.string(),
		uri: z.string(),
		content: text(),
		timestamp: z.date().optional(),
		sizeBytes: count().optional(),
		mimeType: text(),
		processingStatus: z.string().default("pending"),
	},
	{
		entityKeyField: "name",
		indexes: [["uri"], ["processingStatus"]],
	},
);

/** A definition of an agent or of the shape of what it extracts. */
export const Schema = defineEntity(
	"schemas",
	{
		name: z.string(),
		content: text(),
		spec: json().default({}),
		category: text(),
		providerConfigs: jsonList(),
		embeddingFields: textList(),
	},
	{ entityKeyField: "name", indexes: [["category"]] },
);

/** What an agent extracted from a file. */
export const Ontology = defineEntity(
	"ontologies",
	{
		name: z.string(),
		uri: text(),
		fileId: text(),
		agentSchemaId: text(),
		providerName: text(),
		modelName: text(),
		extractedData: json().optional(),
		confidenceScore: z.number().min(0).max(1).optional(),
		extractionTimestamp: z.date().optional(),
		content: text(),
	},
	{ entityKeyField: "name", indexes: [["fileId"], ["agentSchemaId"]] },
);

/** Which files an extraction applies to. */
export const OntologyConfig = defineEntity(
	"ontology_configs",
	{
		name: z.string(),
		agentSchemaId: z.string(),
		description: text(),
		mimeTypePattern: text(),
		uriPattern: text(),
		tagFilter: textList(),
		priority: z.number().int().default(100),
		enabled: z.boolean().default(true),
		providerName: text(),
		modelName: text(),
	},
	{ entityKeyField: "name", indexes: [["agentSchemaId"]] },
);

/** What a person thought of an answer. */
export const Feedback = defineEntity(
	"feedbacks",
	{
		sessionId: z.string(),
		messageId: text(),
		rating: z.number().int().min(-1).max(5).optional(),
		categories: textList(),
		comment: text(),
		traceId: text(),
		spanId: text(),
		phoenixSynced: z.boolean().default(false),
		phoenixAnnotationId: text(),
		annotatorKind: z.string().default("HUMAN"),
	},
	{
		entityKeyField: null,
		createEmbeddings: false,
		indexes: [["messageId"]],
	},
);

/** Registered when `models` is not given. */
export const coreEntities = [
	Resource,
	ImageResource,
	Moment,
	User,
	Message,
	Session,
	SharedSession,
	File,
	Schema,
	Ontology,
	OntologyConfig,
	Feedback,
] as const;
