/** The loaded images, newest first. Loads more of them and keeps their URLs and thumbnails up to date. */

import { subscribe } from "../events.js";

// The first page just fills the window, so that it appears quickly. Larger pages need fewer requests.
const FIRST_PAGE_SIZE = 30;
const PAGE_SIZE = 100;
const REFRESH_BEFORE_EXPIRY_MS = 90_000;

/** Dispatches `changed`. `isLoading`, `isComplete` and `problem` are the state of loading the list. */
export class Library extends EventTarget {
  isLoading = false;
  isComplete = false;
  problem = null;
  #views = new Map();
  /** The cursor of the page that contained each image, by image id. */
  #cursors = new Map();
  #hiddenIds = new Set();
  #sortedImages = null;
  #nextCursor = null;
  #subscribedIds = new Set();

  constructor(api) {
    super();
    this.api = api;
  }

  /** The visible images. Their ids sort by upload time. */
  get images() {
    this.#sortedImages ??= [...this.#views.values()]
      .filter(({ id }) => !this.#hiddenIds.has(id))
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    return this.#sortedImages;
  }

  find(id) {
    return this.#hiddenIds.has(id) ? undefined : this.#views.get(id);
  }

  async fetch(id) {
    return this.find(id) ?? this.put(await this.api.get(`images/${id}`));
  }

  async loadMore() {
    if (this.isLoading || this.isComplete) return;
    this.isLoading = true;
    this.problem = null;
    this.#dispatchChanged();
    try {
      this.#nextCursor = await this.#loadPage(this.#nextCursor);
      this.isComplete = this.#nextCursor === null;
    } catch (problem) {
      this.problem = problem;
    }
    this.isLoading = false;
    this.#dispatchChanged();
  }

  /** Adds or replaces images. Returns the first one. */
  put(...views) {
    for (const view of views) {
      this.#views.set(view.id, view);
      if (isPending(view)) this.#subscribe(view.id);
    }
    this.#dispatchChanged();
    return views[0];
  }

  hide(ids) {
    for (const id of ids) this.#hiddenIds.add(id);
    this.#dispatchChanged();
  }

  unhide(ids) {
    for (const id of ids) this.#hiddenIds.delete(id);
    this.#dispatchChanged();
  }

  remove(ids) {
    for (const id of ids) (this.#views.delete(id), this.#hiddenIds.delete(id), this.#cursors.delete(id));
    this.#dispatchChanged();
  }

  /** Reloads those of the images whose URLs expire soon, or all with `force`. Reloads the pages that contained them. */
  async refreshUrls(ids, { force = false } = {}) {
    const expiringIds = ids.filter((id) => this.#views.has(id) && (force || expiresSoon(this.#views.get(id))));
    const oldViews = new Map(expiringIds.map((id) => [id, this.#views.get(id)]));
    const cursors = new Set(expiringIds.map((id) => this.#cursors.get(id) ?? null));
    for (const cursor of cursors) await this.#loadPage(cursor);
    for (const [id, view] of oldViews) if (this.#views.get(id) === view) await this.#reload(id);
  }

  async #reload(id) {
    try {
      this.put(await this.api.get(`images/${id}`));
    } catch (problem) {
      if (problem.code !== "image_missing") throw problem;
      this.remove([id]); // Another client has deleted the image.
    }
  }

  async retryThumbnails(id) {
    await this.api.post(`images/${id}/thumbnails`, undefined);
    this.put(await this.api.get(`images/${id}`));
  }

  async #loadPage(cursor) {
    const query = new URLSearchParams(cursor ? { limit: PAGE_SIZE, cursor } : { limit: FIRST_PAGE_SIZE });
    const { items, next_cursor: nextCursor } = await this.api.get(`images?${query}`);
    for (const { id } of items) this.#cursors.set(id, cursor);
    this.put(...items);
    return nextCursor;
  }

  /** Updates the image until its thumbnails are ready or have failed. */
  async #subscribe(id) {
    if (this.#subscribedIds.has(id)) return;
    this.#subscribedIds.add(id);
    const onData = (view) => this.#views.has(view.id) && this.put(view);
    const isFinal = (view) => !isPending(view);
    await subscribe(this.api, `images/${id}/events`, { onData, isFinal }).catch(() => {});
    this.#subscribedIds.delete(id);
  }

  #dispatchChanged() {
    this.#sortedImages = null;
    this.dispatchEvent(new Event("changed"));
  }
}

export const isPending = (view) => view.thumbnails.some(({ status }) => status === "pending");
export const failedThumbnail = (view) => view.thumbnails.find(({ status }) => status === "failed");
const expiresSoon = (view) => Date.parse(view.urls_expire_at) < Date.now() + REFRESH_BEFORE_EXPIRY_MS;
