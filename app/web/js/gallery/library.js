/** The images that are known here, newest first, and how more of them are fetched and kept fresh. */

import { follow } from "../events.js";

// A first page that fills the window is there soonest; after that fewer requests are better.
const FIRST_PAGE = 30;
const PAGE = 100;
const RENEW_BEFORE_MS = 90_000;

/** Events: `changed`. `isLoading`, `isComplete` and `problem` say how the list stands. */
export class Library extends EventTarget {
  isLoading = false;
  isComplete = false;
  problem = null;
  #views = new Map();
  #pages = new Map();
  #hidden = new Set();
  #order = null;
  #cursor = null;
  #followed = new Set();

  constructor(api) {
    super();
    this.api = api;
  }

  /** What is to be shown: ids sort by the time of upload, so no order has to be remembered. */
  get images() {
    this.#order ??= [...this.#views.values()]
      .filter(({ id }) => !this.#hidden.has(id))
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    return this.#order;
  }

  find(id) {
    return this.#hidden.has(id) ? undefined : this.#views.get(id);
  }

  async fetch(id) {
    return this.find(id) ?? this.put(await this.api.get(`images/${id}`));
  }

  async loadMore() {
    if (this.isLoading || this.isComplete) return;
    this.isLoading = true;
    this.problem = null;
    this.#changed();
    try {
      this.#cursor = await this.#loadPage(this.#cursor);
      this.isComplete = this.#cursor === null;
    } catch (problem) {
      this.problem = problem;
    }
    this.isLoading = false;
    this.#changed();
  }

  put(...views) {
    for (const view of views) {
      this.#views.set(view.id, view);
      if (isPending(view)) this.#follow(view.id);
    }
    this.#changed();
    return views[0];
  }

  hide(ids) {
    for (const id of ids) this.#hidden.add(id);
    this.#changed();
  }

  unhide(ids) {
    for (const id of ids) this.#hidden.delete(id);
    this.#changed();
  }

  remove(ids) {
    for (const id of ids) (this.#views.delete(id), this.#hidden.delete(id), this.#pages.delete(id));
    this.#changed();
  }

  /** Fetches again what of `ids` has URLs that are about to expire: a page at a time, as they came. */
  async renew(ids, { force = false } = {}) {
    const stale = ids.filter((id) => this.#views.has(id) && (force || isStale(this.#views.get(id))));
    const old = new Map(stale.map((id) => [id, this.#views.get(id)]));
    const pages = new Set(stale.map((id) => this.#pages.get(id) ?? null));
    for (const cursor of pages) await this.#loadPage(cursor);
    for (const [id, view] of old) if (this.#views.get(id) === view) await this.#fetchAgain(id);
  }

  async #fetchAgain(id) {
    try {
      this.put(await this.api.get(`images/${id}`));
    } catch (problem) {
      if (problem.code !== "image_missing") throw problem;
      this.remove([id]); // deleted elsewhere
    }
  }

  async renderAgain(id) {
    await this.api.post(`images/${id}/thumbnails`, undefined);
    this.put(await this.api.get(`images/${id}`));
  }

  async #loadPage(cursor) {
    const query = new URLSearchParams(cursor ? { limit: PAGE, cursor } : { limit: FIRST_PAGE });
    const { items, next_cursor: next } = await this.api.get(`images?${query}`);
    for (const { id } of items) this.#pages.set(id, cursor);
    this.put(...items);
    return next;
  }

  async #follow(id) {
    if (this.#followed.has(id)) return;
    this.#followed.add(id);
    const onData = (view) => this.#views.has(view.id) && this.put(view);
    await follow(this.api, `images/${id}/events`, { onData, isOver: (view) => !isPending(view) }).catch(() => {});
    this.#followed.delete(id);
  }

  #changed() {
    this.#order = null;
    this.dispatchEvent(new Event("changed"));
  }
}

export const isPending = (view) => view.thumbnails.some(({ status }) => status === "pending");
export const failure = (view) => view.thumbnails.find(({ status }) => status === "failed");
const isStale = (view) => Date.parse(view.urls_expire_at) < Date.now() + RENEW_BEFORE_MS;
