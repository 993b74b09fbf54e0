import { type Connection, parse, retrying } from "./connection.js";
import { throwIfAborted } from "./deadline.js";
import { ImageServiceError } from "./errors.js";
import { type OpenFile, openFile, type UploadableFile } from "./files.js";
import type { PendingUpload, PendingUploads } from "./pending.js";
import { continueUpload, createUpload } from "./resumable.js";
import { send } from "./transport.js";
import type { Image, Limits } from "./types.js";

/**
 * - `request`: one request with the file. Only for files of up to `max_file_size`.
 * - `resumable`: continues after an interruption.
 * - `direct`: straight to the store. Suits servers, whose connections are reliable.
 */
export type UploadMethod = "request" | "resumable" | "direct";

export interface UploadProgress {
  /** In bytes. */
  sent: number;
  total: number;
}

export interface UploadOptions {
  /** By default the name of the file. */
  filename?: string;
  /** At most 2,000 characters. */
  description?: string;
  /** Pairs of text of your own, which the image has as `custom_metadata`. At most 20. */
  customMetadata?: Record<string, string>;
  /**
   * Names this upload, so that for a day a repeated call returns the same image instead of creating a second one. For a
   * resumable upload, the `storage` of the client remembers it. By default a new one for each file, which is remembered
   * until the upload has ended.
   */
  idempotencyKey?: string;
  /** In Node, it is only called at the end unless the upload is resumable. */
  onProgress?: (progress: UploadProgress) => void;
  /** Stops the upload. A later call with the same file continues it. */
  signal?: AbortSignal;
  /** By default `resumable` for files of more than `resumable_upload_from` bytes, and `request` for all others. */
  method?: UploadMethod;
  /** Whether to return before the thumbnails are ready. `events` then reports them. Only with `request`. */
  respondAsync?: boolean;
}

interface Context {
  connection: Connection;
  pending: PendingUploads;
  limits: () => Promise<Limits>;
}

/** What an upload method needs. `save` remembers changes of `upload`. */
interface Task {
  connection: Connection;
  limits: Context["limits"];
  file: OpenFile;
  upload: PendingUpload;
  save: () => Promise<void>;
  options: Omit<UploadOptions, "onProgress">;
  onProgress: ((sent: number) => void) | undefined;
}

const METHODS: Record<UploadMethod, (task: Task) => Promise<Image>> = { request, direct, resumable };

/** The files that are being uploaded. A second upload of one of them at the same time is an upload of its own. */
const active = new Set<string>();

export async function upload(context: Context, input: UploadableFile, options: UploadOptions): Promise<Image> {
  throwIfAborted(options.signal);
  const file = await openFile(input, options.filename);
  const method = options.method ?? (await methodFor(context, file));
  const id = JSON.stringify([method, options.idempotencyKey ?? file.fingerprint, file.size]);
  const isRemembered = (options.idempotencyKey ?? file.fingerprint) !== null && !active.has(id);
  if (!isRemembered) return run(context, { method, file, options, id: null });
  active.add(id);
  try {
    return await run(context, { method, file, options, id });
  } finally {
    active.delete(id);
  }
}

async function methodFor({ limits }: Context, file: OpenFile): Promise<UploadMethod> {
  return file.size > (await limits()).resumable_upload_from ? "resumable" : "request";
}

interface Run {
  method: UploadMethod;
  file: OpenFile;
  options: UploadOptions;
  /** The name under which the upload is remembered, or null. */
  id: string | null;
}

async function run({ connection, pending, limits }: Context, { method, file, options, id }: Run): Promise<Image> {
  const found = id === null ? undefined : await pending.find(id);
  const { onProgress } = options;
  const report = onProgress && ((sent: number) => onProgress({ sent: Math.min(sent, file.size), total: file.size }));
  const attempt = async (upload: PendingUpload) => {
    const save = async () => {
      if (id !== null) await pending.save(id, upload);
    };
    await save();
    return METHODS[method]({ connection, limits, file, upload, save, options, onProgress: report });
  };
  const fresh = () => ({ idempotencyKey: options.idempotencyKey ?? newKey(), startedAt: Date.now() });
  try {
    const image = await attempt(found ?? fresh()).catch((error) => {
      if (!isOutdated(error, found !== undefined)) throw error;
      return attempt(fresh());
    });
    // The service remembers the keys of all uploads but the resumable ones.
    const isKept = options.idempotencyKey !== undefined && method === "resumable";
    if (id !== null && !isKept) await pending.save(id, null);
    return image;
  } catch (error) {
    if (id !== null && isRefusal(error)) await pending.save(id, null);
    throw error;
  }
}

/** Whether the upload has to start from the beginning, for example because its image was deleted meanwhile. */
function isOutdated(error: unknown, isRemembered: boolean): boolean {
  if (!(error instanceof ImageServiceError)) return false;
  // The service deletes a resumable upload that it refuses. If that response was lost, a new upload shows the reason.
  if (error.code === "upload_missing") return true;
  // Only a store responds 403 without a code: the signature of its URL has expired.
  const isExpired = error.code === "form_expired" || (error.code === "unexpected_response" && error.status === 403);
  return isRemembered && (isExpired || ["idempotency_key_reused", "image_missing"].includes(error.code));
}

/** Whether the service refused the file, so that a later upload of it is a new one. */
function isRefusal(error: unknown): boolean {
  return error instanceof ImageServiceError && [400, 413, 415, 422].includes(error.status);
}

async function request({ connection, file, upload, options, onProgress }: Task): Promise<Image> {
  const form = new FormData();
  // Fields before the file: the service reads the form in this order.
  if (options.description) form.append("description", options.description);
  if (options.customMetadata) form.append("custom_metadata", JSON.stringify(options.customMetadata));
  form.append("file", file.formPart as Blob, file.name);
  const received = await connection.send("/images/upload", {
    method: "POST",
    headers: {
      "Idempotency-Key": upload.idempotencyKey,
      ...(options.respondAsync && { Prefer: "respond-async" }),
    },
    body: form,
    size: file.size,
    isSafe: true,
    signal: options.signal,
    onProgress,
  });
  return parse<Image>(received);
}

async function direct({ connection, file, upload, options, onProgress }: Task): Promise<Image> {
  const { signal, description, customMetadata } = options;
  const { upload_id: id, put_url: url } = await connection.json<{ upload_id: string; put_url: string }>(
    "POST",
    "/images/uploads",
    {
      body: { filename: file.name, content_type: file.type, size: file.size, description, custom_metadata: customMetadata },
      headers: { "Idempotency-Key": upload.idempotencyKey },
      isSafe: true,
      signal,
    },
  );
  const body = await file.blob();
  await retrying(() => send({ method: "PUT", url, headers: {}, body, size: file.size, signal, onProgress }), signal);
  return connection.json("POST", `/images/uploads/${id}/complete`, { isSafe: true, signal });
}

async function resumable({ connection, limits, file, upload, save, options, onProgress }: Task): Promise<Image> {
  const { signal, description, customMetadata } = options;
  const { max_request_size: maxRequestSize } = await limits();
  if (!upload.uploadId) {
    upload.uploadId = await createUpload(connection, file, { description, customMetadata, signal });
    await save();
  }
  await continueUpload(connection, upload.uploadId, file, { signal, onProgress, maxRequestSize });
  // The id of the upload is the id of the image.
  return connection.json("GET", `/images/${upload.uploadId}`, { signal });
}

/** Neither crypto.randomUUID nor crypto.getRandomValues exist everywhere. A key only has to be unique for its user. */
export function newKey(): string {
  const random = () => Math.random().toString(36).slice(2);
  return globalThis.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${random()}${random()}`;
}
