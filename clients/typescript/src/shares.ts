import type { Connection } from "./connection.js";
import { pages } from "./pages.js";
import type { Share, ShareChanges, ShareOptions } from "./types.js";

interface Abortable {
  signal?: AbortSignal;
}

/** The links with which a user shows images to people without an account. */
export class Shares {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Make a link that shows 1 to 500 images. Its `url` is the page that the receiver opens. */
  create(imageIds: string[], options: ShareOptions = {}, { signal }: Abortable = {}): Promise<Share> {
    return this.#connection.json("POST", "/shares", { body: { ...options, image_ids: imageIds }, signal });
  }

  /** Yield all shares, newest first. */
  list({ pageSize = 50, signal }: Abortable & { pageSize?: number } = {}): AsyncGenerator<Share, void, undefined> {
    return pages<Share>(this.#connection, "/shares", { query: { limit: pageSize }, signal });
  }

  /** Change a share. Omitted fields are not changed, and null removes the title, the expiry or the password. */
  update(id: string, changes: ShareChanges, { signal }: Abortable = {}): Promise<Share> {
    return this.#connection.json("PATCH", sharePath(id), { body: changes, signal });
  }

  /** Revoke the link, which shows nothing from the next request on. If there is no such share, this does nothing. */
  revoke(id: string, { signal }: Abortable = {}): Promise<void> {
    return this.#connection.remove(sharePath(id), { missing: "share_missing", signal });
  }
}

function sharePath(id: string): string {
  return `/shares/${encodeURIComponent(id)}`;
}
