import { type CallOptions, Connection, type ConnectionOptions } from "./connection.js";
import { follow } from "./events.js";
import type { UploadableFile } from "./files.js";
import { Jobs } from "./jobs.js";
import { pages } from "./pages.js";
import { PendingUploads } from "./pending.js";
import { Shares } from "./shares.js";
import { defaultStorage, type KeyValueStorage } from "./storage.js";
import type { Account, Deleted, Image, ImageChanges, Limits, Timeline } from "./types.js";
import { type UploadOptions, upload } from "./upload.js";

export interface ImageClientOptions extends ConnectionOptions {
  /** Where uploads that have not ended are remembered. By default `localStorage` in browsers, and elsewhere memory. */
  storage?: KeyValueStorage;
}

export interface Abortable {
  signal?: AbortSignal;
}

export interface ImageListOptions extends Abortable {
  pageSize?: number;
  /** The order, newest first: by upload, or by the time at which the image was taken, which is the default of a period. */
  sort?: "uploaded_at" | "taken_at";
  /** Only images taken at this time or later: a date or a time without an offset, such as `2024-05-01`. */
  takenAfter?: string;
  /** Only images taken before this time. */
  takenBefore?: string;
}

const LIMITS_VALID_MS = 5 * 60 * 1000;
const MAX_IDS = 100;

/**
 * The images of one user. Every function throws ImageServiceError, or the reason of the signal if it is aborted.
 *
 * Requests that may be repeated are repeated up to three times after a failure that may be temporary.
 */
export class ImageClient {
  readonly jobs: Jobs;
  readonly shares: Shares;
  readonly #connection: Connection;
  readonly #pending: PendingUploads;
  #limits: { value: Promise<Limits>; readAt: number } | null = null;

  constructor(options: ImageClientOptions) {
    this.#connection = new Connection(options);
    const storage = options.storage ?? defaultStorage();
    this.#pending = new PendingUploads(storage, `image-upload-service.uploads ${options.baseUrl}`);
    this.jobs = new Jobs(this.#connection);
    this.shares = new Shares(this.#connection);
  }

  /**
   * Upload a file. When this returns, the original and the image are durable.
   *
   * An upload that failed or was aborted, or whose page was reloaded, is continued by a call with the same file.
   */
  upload(file: UploadableFile, options: UploadOptions = {}): Promise<Image> {
    const limits = () => this.limits();
    return upload({ connection: this.#connection, pending: this.#pending, limits }, file, options);
  }

  /** Yield all images, newest first. Pages are requested when they are needed. */
  list({ pageSize = 50, signal, ...order }: ImageListOptions = {}): AsyncGenerator<Image, void, undefined> {
    const { sort, takenAfter: taken_after, takenBefore: taken_before } = order;
    const query = { limit: pageSize, sort, taken_after, taken_before };
    return pages<Image>(this.#connection, "/images", { query, signal });
  }

  /** Count the images by the month in which they were taken, newest first. */
  timeline({ signal }: Abortable = {}): Promise<Timeline> {
    return this.#connection.json("GET", "/images/timeline", { signal });
  }

  get(id: string, { signal }: Abortable = {}): Promise<Image> {
    return this.#connection.json("GET", imagePath(id), { signal });
  }

  /**
   * Change the filename, the description, the focal point or the custom metadata. Omitted fields are not changed, and null
   * removes a field.
   */
  update(id: string, changes: ImageChanges, { signal }: Abortable = {}): Promise<Image> {
    return this.#connection.json("PATCH", imagePath(id), { body: changes, signal });
  }

  /** Delete an image with its original and thumbnails. If there is no such image, this does nothing. */
  delete(id: string, { signal }: Abortable = {}): Promise<void> {
    return this.#connection.remove(imagePath(id), { missing: "image_missing", signal });
  }

  /** Delete images. Returns for each id `deleted`, or an error code such as `image_missing`. */
  async deleteMany(ids: string[], { signal }: Abortable = {}): Promise<Record<string, string>> {
    const results: Record<string, string> = {};
    for (let start = 0; start < ids.length; start += MAX_IDS) {
      const body = { ids: ids.slice(start, start + MAX_IDS) };
      const options = { body, signal, isSafe: true };
      const response = await this.#connection.json<Deleted>("POST", "/images/delete", options);
      Object.assign(results, response.results);
    }
    return results;
  }

  /** Yield the image now and after each change, until no thumbnail is `pending`. */
  events(id: string, { signal }: Abortable = {}): AsyncGenerator<Image, void, undefined> {
    const isFinal = ({ thumbnails }: Image) => thumbnails.every(({ status }) => status !== "pending");
    return follow<Image>(this.#connection, { path: imagePath(id), isFinal, signal });
  }

  /** Return the limits of the service. They are read again after five minutes. */
  limits(): Promise<Limits> {
    if (!this.#limits || Date.now() - this.#limits.readAt > LIMITS_VALID_MS) {
      const value = this.#connection.json<Limits>("GET", "/limits");
      this.#limits = { value, readAt: Date.now() };
      value.catch(() => {
        this.#limits = null;
      });
    }
    return this.#limits.value;
  }

  /** Return the account and its usage. */
  account({ signal }: Abortable = {}): Promise<Account> {
    return this.#connection.json("GET", "/auth/me", { signal });
  }

  /** Call another route, for example `request("POST", "/auth/me/export")`, and return the JSON of its response. */
  request<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    return this.#connection.json<T>(method, path, options);
  }
}

function imagePath(id: string): string {
  return `/images/${encodeURIComponent(id)}`;
}
