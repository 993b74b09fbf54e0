/** The images of the user, newest first, of which a part is loaded. Keeps URLs and thumbnails up to date. */

import { subscribe } from "../events.js";
import { createSection, monthOf, parametersOf, sortViews } from "./months.js";

// The first page just fills the window, so that it appears quickly. Larger pages need fewer requests.
const FIRST_PAGE_SIZE = 30;
const PAGE_SIZE = 100;
const MAX_LOADED = 3000;
const REFRESH_BEFORE_EXPIRY_MS = 90_000;
const UNUSED_MS = 5000;
const NEAR_END = 5;
const SORT_KEY = "pictures.sort";

/** Dispatches `changed`, and `removed` with the ids of images that no longer exist. */
export class Library extends EventTarget {
  sections = [];
  /** Whether the number of images is known. */
  isLoaded = false;
  sort = localStorage.getItem(SORT_KEY) ?? "taken_at";
  #problem = null;
  #isStarting = false;
  #views = new Map();
  /** The query of the page that contained each image, by image id. */
  #queries = new Map();
  #hiddenIds = new Set();
  #isArranged = true;
  /** Changes when images are added or removed: a timeline that was requested before may be older. */
  #version = 0;
  #subscribedIds = new Set();

  constructor(api) {
    super();
    this.api = api;
  }

  get isLoading() {
    return this.#isStarting || this.sections.some((section) => section.isLoading);
  }

  get isComplete() {
    return this.isLoaded && this.sections.every((section) => section.isComplete);
  }

  /** The error of the latest attempt to load something. */
  get problem() {
    return this.#problem ?? this.sections.find((section) => section.problem)?.problem ?? null;
  }

  /** How many images there are, without those that are hidden. */
  get count() {
    return this.sections.reduce((sum, { count }) => sum + count, 0) - this.#hiddenIds.size;
  }

  /** The images and bytes that are hidden. */
  get hidden() {
    const views = [...this.#hiddenIds].map((id) => this.#views.get(id));
    return { images: views.length, bytes: views.reduce((sum, view) => sum + (view?.size ?? 0), 0) };
  }

  /** The sections, whose `images` are up to date. */
  get arrangedSections() {
    this.#arrange();
    return this.sections;
  }

  /** The loaded and visible images. */
  get images() {
    return this.arrangedSections.flatMap(({ images }) => images);
  }

  find(id) {
    return this.#hiddenIds.has(id) ? undefined : this.#views.get(id);
  }

  async fetch(id) {
    return this.find(id) ?? this.put(await this.api.get(`images/${id}`));
  }

  /** Loads the number of images of each month, and the newest images. */
  async start() {
    if (this.#isStarting) return;
    this.#isStarting = true;
    this.#problem = null;
    this.#dispatchChanged();
    try {
      const order = this.sort === "taken_at" ? { sort: "taken_at" } : {};
      const query = new URLSearchParams({ ...order, limit: FIRST_PAGE_SIZE });
      const [timeline, page] = await Promise.all([this.api.get("images/timeline"), this.#loadPage(query)]);
      this.#setTimeline(timeline);
      if (this.sort === "uploaded_at") this.#addPage(this.sections, page);
      this.isLoaded = true;
    } catch (problem) {
      this.#problem = problem;
    }
    this.#isStarting = false;
    this.#dispatchChanged();
  }

  setSort(sort, { isRemembered = true } = {}) {
    if (isRemembered) localStorage.setItem(SORT_KEY, sort);
    Object.assign(this, { sort, sections: [], isLoaded: false });
    for (const id of this.#views.keys()) if (!this.#hiddenIds.has(id)) this.#views.delete(id);
    return this.start();
  }

  /** Requests the number of images of each month again. Sections that have changed are loaded again. */
  async refresh() {
    if (!this.isLoaded) return;
    const version = this.#version;
    const timeline = await this.api.get("images/timeline");
    if (version !== this.#version) return this.refresh();
    if (this.sort === "uploaded_at") await this.#loadPage(`limit=${FIRST_PAGE_SIZE}`);
    this.#setTimeline(timeline);
    this.#dispatchChanged();
  }

  /** Loads the next page of the section, or waits for the page that is being loaded. */
  async load(section) {
    if (section.isComplete || this.#isStarting) return;
    if (section.isLoading) return section.loading;
    const sections = this.#sectionsToLoadWith(section);
    const loading = this.#loadPageOf(section, sections);
    for (const part of sections) part.loading = loading;
    await loading;
  }

  async #loadPageOf(section, sections) {
    for (const part of sections) Object.assign(part, { isLoading: true, problem: null, usedAt: performance.now() });
    const seenIds = sections.map((part) => part.seenIds);
    this.#dispatchChanged();
    try {
      const query = { ...parametersOf(sections), limit: PAGE_SIZE, ...(section.cursor && { cursor: section.cursor }) };
      const page = await this.#loadPage(new URLSearchParams(query));
      // A section whose count has changed in the meantime is loaded from its beginning.
      if (sections.every((part, i) => part.seenIds === seenIds[i])) this.#addPage(sections, page);
    } catch (problem) {
      section.problem = problem;
    }
    for (const part of sections) part.isLoading = false;
    this.#unloadUnused();
    this.#dispatchChanged();
  }

  /** Repeats what has failed. */
  retry() {
    if (!this.isLoaded) return this.start();
    for (const section of this.sections) section.problem = null;
    this.#dispatchChanged(); // The grid loads what is missing near the visible part of the page.
  }

  async loadAll(section) {
    const canLoad = () => !section.isComplete && !section.problem && this.sections.includes(section);
    while (canLoad() && !this.#isStarting) await this.load(section);
  }

  /** Loads the images that follow the last loaded one. */
  async loadMore() {
    const section = this.sections.findLast(({ images }) => images.length) ?? this.sections[0];
    const next = section?.isComplete ? this.sections[this.sections.indexOf(section) + 1] : section;
    if (next) await this.load(next);
  }

  /** Returns the images `before` and `after` an image, as far as they are loaded. */
  neighbors(id) {
    this.#arrange();
    const at = this.sections.findIndex(({ images }) => images.some((image) => image.id === id));
    if (at < 0) return {};
    const { images, isComplete } = this.sections[at];
    const index = images.findIndex((image) => image.id === id);
    const newer = this.sections.slice(0, at).findLast((section) => section.images.length || !section.isComplete);
    const older = this.sections.slice(at + 1).find((section) => section.images.length || !section.isComplete);
    return {
      before: images[index - 1] ?? (newer?.isComplete ? newer.images.at(-1) : undefined),
      after: images[index + 1] ?? (isComplete ? older?.images[0] : undefined),
    };
  }

  /** Loads the neighbors of an image that is near an end of the loaded part of its section. */
  loadAround(id) {
    this.#arrange();
    const at = this.sections.findIndex(({ images }) => images.some((image) => image.id === id));
    if (at < 0) return;
    const section = this.sections[at];
    section.usedAt = performance.now();
    const index = section.images.findIndex((image) => image.id === id);
    const next = section.isComplete ? this.sections[at + 1] : section;
    if (next && section.images.length - index <= NEAR_END) this.load(next);
    if (index < NEAR_END && at > 0) this.loadAll(this.sections[at - 1]);
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

  /** Adds an image that was just stored. */
  add(view) {
    if (!this.#views.has(view.id) && this.isLoaded) {
      this.#version += 1;
      const section = this.#sectionOf(view) ?? this.#insertSection(monthOf(view));
      section.count += 1;
      section.seenIds.add(view.id);
    }
    this.put(view);
  }

  hide(ids) {
    for (const id of ids) this.#hiddenIds.add(id);
    this.#dispatchChanged();
  }

  unhide(ids) {
    for (const id of ids) this.#hiddenIds.delete(id);
    this.#dispatchChanged();
  }

  /** Removes images that no longer exist. Returns how many of them were not loaded, and the bytes of the others. */
  remove(ids) {
    this.#version += 1;
    const views = ids.map((id) => this.#views.get(id)).filter(Boolean);
    let isCountUnknown = false;
    for (const view of views) {
      const section = this.#sectionOf(view);
      // Otherwise the count may come from a timeline that was already without the image.
      if (section?.isComplete || section?.seenIds.has(view.id)) section.count -= 1;
      else isCountUnknown = true;
    }
    for (const id of ids) {
      this.#forget(id);
      this.#hiddenIds.delete(id);
    }
    this.sections = this.sections.filter(({ month, count }) => month === null || count > 0);
    this.dispatchEvent(new CustomEvent("removed", { detail: ids }));
    this.#dispatchChanged();
    if (isCountUnknown) this.refresh().catch(() => {});
    return { unknown: ids.length - views.length, bytes: views.reduce((sum, { size }) => sum + size, 0) };
  }

  /** Reloads those of the images whose URLs expire soon, or all with `force`. Reloads the pages that contained them. */
  async refreshUrls(ids, { force = false } = {}) {
    const expiringIds = ids.filter((id) => this.#views.has(id) && (force || expiresSoon(this.#views.get(id))));
    const oldViews = new Map(expiringIds.map((id) => [id, this.#views.get(id)]));
    const queries = new Set(expiringIds.map((id) => this.#queries.get(id)).filter(Boolean));
    for (const query of queries) await this.#loadPage(query);
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

  async #loadPage(query) {
    const page = await this.api.get(`images?${query}`);
    for (const { id } of page.items) this.#queries.set(id, query);
    this.put(...page.items);
    return page;
  }

  #addPage(sections, { items, next_cursor: nextCursor }) {
    for (const view of items) this.#sectionOf(view)?.seenIds.add(view.id);
    if (sections.length > 1 && nextCursor) {
      // There are more images than the timeline said.
      for (const section of sections) section.isLoadedAlone = true;
      return;
    }
    for (const section of sections) {
      section.cursor = nextCursor;
      if (!nextCursor) this.#complete(section);
    }
  }

  #complete(section) {
    const views = this.#viewsOf(section);
    for (const { id } of views) if (!section.seenIds.has(id)) this.#forget(id);
    Object.assign(section, { isComplete: true, count: views.filter(({ id }) => this.#views.has(id)).length });
  }

  /** Returns the section and those after it that fit in the same page. */
  #sectionsToLoadWith(section) {
    const sections = [section];
    if (section.cursor || section.month === null || section.isLoadedAlone) return sections;
    let count = section.count;
    for (const next of this.sections.slice(this.sections.indexOf(section) + 1)) {
      count += next.count;
      if (count > PAGE_SIZE || next.cursor || next.isLoading || next.isComplete || next.isLoadedAlone) break;
      sections.push(next);
    }
    return sections;
  }

  #setTimeline({ months, images }) {
    const counts = this.sort === "taken_at" ? months : [{ month: null, images }];
    this.sections = counts.map(({ month, images: count }) => {
      const section = this.sections.find((known) => known.month === month) ?? createSection(month, 0);
      if (section.cursor && month === null) section.count = count;
      else if (section.count !== count) {
        const isComplete = this.#viewsOf(section).length === count;
        Object.assign(section, { count, isComplete, cursor: null, seenIds: new Set() });
      }
      return section;
    });
  }

  #insertSection(month) {
    const section = createSection(month, 0);
    section.isComplete = true;
    this.sections.push(section);
    this.sections.sort((a, b) => (a.month < b.month ? 1 : -1));
    return section;
  }

  #sectionOf(view) {
    const month = this.sort === "taken_at" ? monthOf(view) : null;
    return this.sections.find((section) => section.month === month);
  }

  #viewsOf({ month }) {
    const views = [...this.#views.values()];
    return month === null ? views : views.filter((view) => monthOf(view) === month);
  }

  #forget(id) {
    this.#views.delete(id);
    this.#queries.delete(id);
  }

  /** Keeps the number of loaded images limited: unloads the months that were visible longest ago. */
  #unloadUnused() {
    if (this.sort !== "taken_at" || this.#views.size <= MAX_LOADED) return;
    this.#arrange();
    const now = performance.now();
    const isUnused = ({ images, isLoading, usedAt }) => images.length && !isLoading && now - usedAt > UNUSED_MS;
    const unused = this.sections.filter(isUnused);
    for (const section of unused.sort((a, b) => a.usedAt - b.usedAt)) {
      for (const { id } of section.images) this.#forget(id);
      Object.assign(section, { cursor: null, isComplete: false, seenIds: new Set() });
      if (this.#views.size <= MAX_LOADED) return;
    }
  }

  #arrange() {
    if (this.#isArranged) return;
    this.#isArranged = true;
    const byMonth = new Map(this.sections.map((section) => [section.month, section]));
    for (const section of this.sections) Object.assign(section, { images: [], hiddenCount: 0 });
    for (const view of sortViews([...this.#views.values()], this.sort)) {
      const section = byMonth.get(this.sort === "taken_at" ? monthOf(view) : null);
      if (this.#hiddenIds.has(view.id)) section && (section.hiddenCount += 1);
      else section?.images.push(view);
    }
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
    this.#isArranged = false;
    this.dispatchEvent(new Event("changed"));
  }
}

export const isPending = (view) => view.thumbnails.some(({ status }) => status === "pending");
export const failedThumbnail = (view) => view.thumbnails.find(({ status }) => status === "failed");
const expiresSoon = (view) => Date.parse(view.urls_expire_at) < Date.now() + REFRESH_BEFORE_EXPIRY_MS;
