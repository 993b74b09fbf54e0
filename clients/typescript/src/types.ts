/** The records of the API. docs/api.md of the service explains their fields. */

import type { components } from "./schema.js";

type Schemas = components["schemas"];

export type Image = Schemas["ImageView"];
export type ImagePage = Schemas["ImagePageView"];
export type ImageChanges = Schemas["EditBody"];
export type Timeline = Schemas["TimelineView"];
export type Thumbnail = Schemas["ThumbnailView"];
export type Job = Schemas["JobView"];
export type JobPage = Schemas["JobPageView"];
export type JobStatus = Schemas["JobStatus"];
export type Limits = Schemas["LimitsView"];
export type Account = Schemas["MeView"];
export type Deleted = Schemas["DeletedView"];
export type Share = Schemas["ShareView"];
export type ShareOptions = Partial<Omit<Schemas["ShareBody"], "image_ids">>;
export type ShareChanges = Partial<Schemas["ShareChanges"]>;
export type Problem = Schemas["Problem"];
export type Tokens = Schemas["TokenView"];
