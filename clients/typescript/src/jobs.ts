import type { Connection } from "./connection.js";
import { follow } from "./events.js";
import { pages } from "./pages.js";
import type { Job, JobStatus } from "./types.js";
import { newKey } from "./upload.js";

interface ListOptions {
  status?: JobStatus;
  pageSize?: number;
  signal?: AbortSignal;
}

/** The background jobs of one user. */
export class Jobs {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Yield all jobs, newest first. */
  list({ status, pageSize = 50, signal }: ListOptions = {}): AsyncGenerator<Job, void, undefined> {
    return pages<Job>(this.#connection, "/jobs", { query: { limit: pageSize, status }, signal });
  }

  get(id: string, { signal }: { signal?: AbortSignal } = {}): Promise<Job> {
    return this.#connection.json("GET", jobPath(id), { signal });
  }

  /** Yield the job now and after each change, until it has finished. */
  events(id: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Job, void, undefined> {
    return follow<Job>(this.#connection, { path: jobPath(id), isFinal: (job) => job.finished_at !== null, signal });
  }

  /** Start to fetch the image of a product. `result.image_id` of the completed job is its image. */
  fetchProductImage(
    ean: string,
    { idempotencyKey = newKey(), signal }: { idempotencyKey?: string; signal?: AbortSignal } = {},
  ): Promise<Job> {
    const headers = { "Idempotency-Key": idempotencyKey };
    return this.#connection.json("POST", "/fetch-image", { body: { ean_code: ean }, headers, isSafe: true, signal });
  }

  /** Start to pack all originals into a ZIP file. `result.url` of the completed job is its URL. */
  exportImages({ signal }: { signal?: AbortSignal } = {}): Promise<Job> {
    return this.#connection.json("POST", "/auth/me/export", { signal });
  }
}

function jobPath(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
