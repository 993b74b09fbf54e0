/** The grid of images in sections. Only what is near the visible part of the page is in the document. */

import { describeProblem } from "../problems.js";
import { byId, el, setStyle } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { layOutSections, rowHeightFor } from "./layout.js";
import { SectionViews } from "./section_views.js";
import { createTile } from "./tile.js";

const RENDERED_SCREENS_AROUND = 1.2;
const ANIMATION_MS = 400;
const REFRESH_URLS_EVERY_MS = 20_000;
const LOAD_EVERY_MS = 100;
const FAST_SCREENS = 2;
const MAX_LOADING = 3;
const MAX_AHEAD = 100;
const TITLE_REM = 3.5;

export class Grid {
  #tiles = new Map();
  #sectionViews;
  #layout = { sections: [], boxes: [], height: 0 };
  #width = 0;
  #frameRequest = 0;
  #isLayoutStale = false;
  #loadTimer = 0;
  #lastLoadTop = 0;
  #idsWithLoadError = new Set();

  /** `onMove` is called after the grid was scrolled or its layout has changed. */
  constructor(library, selection, { onOpen, onMove }) {
    Object.assign(this, { library, selection, onOpen, onMove });
    this.element = el("div", { class: "grid" });
    this.#sectionViews = new SectionViews(this.element);
    this.#listen();
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    clearInterval(this.refreshTimer);
    clearTimeout(this.animationTimer);
    clearTimeout(this.#loadTimer);
  }

  get layout() {
    return this.#layout;
  }

  /** How far the top of the visible part of the page is below the top of the grid. */
  get scrollTop() {
    return byId("main").offsetTop - this.element.getBoundingClientRect().top;
  }

  scrollTo(top) {
    scrollBy(0, top - this.scrollTop);
  }

  /** Scrolls to an image if necessary, and focuses it. */
  focus(id) {
    const box = this.#layout.boxes.find(({ image }) => image.id === id);
    if (!box) return;
    const top = this.element.getBoundingClientRect().top + box.top;
    if (top < 80 || top + box.height > innerHeight) scrollBy(0, top - innerHeight / 3);
    this.#render();
    this.#tiles.get(id)?.link.focus({ preventScroll: true });
  }

  #listen() {
    this.controller = new AbortController();
    const { signal } = this.controller;
    this.library.addEventListener("changed", () => this.#scheduleUpdate({ layOut: true }), { signal });
    this.selection.addEventListener("changed", () => this.#updateSelection(), { signal });
    addEventListener("scroll", () => this.#scheduleUpdate({}), { signal, passive: true });
    this.element.addEventListener("keydown", (event) => this.#handleKey(event));
    this.observer = new ResizeObserver(() => this.element.clientWidth !== this.#width && this.#layOut());
    this.observer.observe(this.element);
    this.refreshTimer = setInterval(() => this.#refreshUrls(), REFRESH_URLS_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.#refreshUrls(), { signal });
  }

  #scheduleUpdate({ layOut = false }) {
    this.#isLayoutStale ||= layOut;
    this.#frameRequest ||= requestAnimationFrame(() => {
      this.#frameRequest = 0;
      if (this.#isLayoutStale) this.#layOut({ animate: true });
      else this.#render();
    });
  }

  #layOut({ animate = false } = {}) {
    const width = this.element.clientWidth;
    if (!width) return;
    this.#isLayoutStale = false;
    const anchor = this.#findAnchor();
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.#layout = layOutSections(this.library.arrangedSections, {
      width,
      rowHeight: rowHeightFor(width),
      gap: width < 600 ? 4 : 8,
      titleHeight: TITLE_REM * rem,
      sectionGap: rem,
    });
    setStyle(this.element, { height: `${this.#layout.height}px` });
    const shift = anchor ? this.#topOfAnchor(anchor) - anchor.top : 0;
    if (Math.abs(shift) >= 1) scrollBy(0, shift);
    else if (animate && width === this.#width) this.#animate();
    this.#width = width;
    this.#render();
  }

  /** Returns what must not move when images above it are loaded or removed: the first visible image, or its section. */
  #findAnchor() {
    const top = this.scrollTop;
    if (top <= 0) return null;
    const at = this.#layout.sections.find((placed) => placed.top + placed.height > top);
    const box = this.#layout.boxes[this.#firstEndingAfter(top)];
    const isBoxVisible = box && box.top < top + innerHeight && box.section === at?.section;
    if (!at) return null;
    const place = isBoxVisible ? { id: box.image.id, top: box.top } : { id: null, top: at.top };
    return { section: at.section, sectionTop: at.top, ...place };
  }

  #topOfAnchor({ id, section, sectionTop, top }) {
    const box = id && this.#layout.boxes.find(({ image }) => image.id === id);
    if (box) return box.top;
    const placed = this.#layout.sections.find((candidate) => candidate.section === section);
    return placed ? top + placed.top - sectionTop : top;
  }

  #animate() {
    this.element.classList.add("animated");
    clearTimeout(this.animationTimer);
    this.animationTimer = setTimeout(() => this.element.classList.remove("animated"), ANIMATION_MS);
  }

  #render() {
    const { boxes } = this.#layout;
    const [from, to] = this.#nearbyRange();
    const indices = this.#nearbyIndices(from, to);
    const ids = new Set(indices.map((index) => boxes[index].image.id));
    const lostFocusIndex = this.#removeOtherTiles(ids);
    const isFocused = ({ section }) => this.#sectionViews.hasFocus(section);
    const placed = this.#layout.sections.filter(
      (candidate) => (candidate.top < to && candidate.top + candidate.height > from) || isFocused(candidate),
    );
    for (const { section } of placed) section.usedAt = performance.now();
    this.#sectionViews.show(placed);
    this.#placeTiles(indices, placed);
    if (lostFocusIndex !== null) this.#focusNear(lostFocusIndex);
    this.#loadSoon();
    this.onMove();
  }

  /** Returns the index of the tile that had the focus and was removed, or null. */
  #removeOtherTiles(ids) {
    let lostFocusIndex = null;
    for (const [id, tile] of this.#tiles) {
      const hasFocus = tile.element.contains(document.activeElement);
      if (ids.has(id) || (hasFocus && this.library.find(id))) continue;
      if (hasFocus) lostFocusIndex = tile.index;
      tile.element.remove();
      this.#tiles.delete(id);
    }
    return lostFocusIndex;
  }

  #placeTiles(indices, placed) {
    const { boxes } = this.#layout;
    const starts = new Map(placed.map(({ section, top }) => [section, top]));
    let list = null;
    let before = null;
    for (const index of indices) {
      const { image, section, position, ...box } = boxes[index];
      const sectionList = this.#sectionViews.listOf(section);
      if (sectionList !== list) [list, before] = [sectionList, sectionList.firstElementChild];
      const tile = this.#getOrCreateTile(image.id);
      tile.index = index;
      tile.moveTo({ ...box, top: box.top - starts.get(section) }, position, section.count - section.hiddenCount);
      tile.show(image);
      if (tile.element === before) before = before.nextElementSibling;
      else list.insertBefore(tile.element, before);
    }
  }

  #focusNear(index) {
    const box = this.#layout.boxes[Math.min(index, this.#layout.boxes.length - 1)];
    if (box) this.focus(box.image.id);
    else byId("main").focus();
  }

  /** Returns the part of the grid within about one screen of the visible part of the page. */
  #nearbyRange() {
    const top = -this.element.getBoundingClientRect().top;
    return [top - innerHeight * RENDERED_SCREENS_AROUND, top + innerHeight * (1 + RENDERED_SCREENS_AROUND)];
  }

  #nearbyIndices(from, to) {
    const { boxes } = this.#layout;
    const indices = [];
    for (let i = this.#firstEndingAfter(from); i < boxes.length && boxes[i].top < to; i++) indices.push(i);
    return indices;
  }

  #firstEndingAfter(y) {
    const { boxes } = this.#layout;
    let [low, high] = [0, boxes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (boxes[middle].top + boxes[middle].height < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Loads what is missing near the visible part of the page, but not while the user scrolls past it. */
  #loadSoon() {
    this.#loadTimer ||= setTimeout(() => {
      this.#loadTimer = 0;
      const { scrollTop } = this;
      const isFast = Math.abs(scrollTop - this.#lastLoadTop) > innerHeight * FAST_SCREENS;
      this.#lastLoadTop = scrollTop;
      if (isFast) this.#loadSoon();
      else this.#loadNearby();
    }, LOAD_EVERY_MS);
  }

  #loadNearby() {
    if (!this.library.isLoaded) return;
    const [from, to] = this.#nearbyRange();
    const middle = (from + to) / 2;
    const distance = ({ rest, restHeight }) => Math.max(0, rest - middle, middle - rest - restHeight);
    // The end of a month can be loaded only after its beginning, so that of a large month is loaded once it is visible.
    const isNear = ({ section, rest, restHeight }) =>
      rest < to && rest + restHeight >= (section.count > MAX_AHEAD ? this.scrollTop : from);
    const missing = this.#layout.sections.filter(
      (placed) => !placed.section.isComplete && !placed.section.isLoading && !placed.section.problem && isNear(placed),
    );
    const free = MAX_LOADING - this.library.sections.filter(({ isLoading }) => isLoading).length;
    for (const { section } of missing.sort((a, b) => distance(a) - distance(b)).slice(0, Math.max(0, free)))
      this.library.load(section);
  }

  #getOrCreateTile(id) {
    if (!this.#tiles.has(id)) {
      const tile = createTile(id, {
        onOpen: (event) => this.#handleClick(event, id),
        onSelect: (event) => this.#select(event, id),
        onLoadError: () => this.#handleLoadError(id),
        onRetry: () => this.#retryThumbnails(id),
      });
      tile.setSelected(this.selection.has(id));
      this.#tiles.set(id, tile);
    }
    return this.#tiles.get(id);
  }

  #retryThumbnails(id) {
    this.library.retryThumbnails(id).catch((problem) => showToast(describeProblem(problem), { kind: "error" }));
  }

  #handleClick(event, id) {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    if (this.selection.isOpen) this.#select(event, id);
    else this.onOpen(id);
  }

  #select(event, id) {
    if (event.shiftKey)
      this.selection.extendTo(
        id,
        this.#layout.boxes.map(({ image }) => image.id),
      );
    else this.selection.toggle(id);
  }

  #updateSelection() {
    this.element.classList.toggle("selecting", this.selection.isOpen);
    for (const [id, tile] of this.#tiles) tile.setSelected(this.selection.has(id));
  }

  /** Moves the focus with the arrow keys. Up and down go to the nearest image in the adjacent row. */
  #handleKey(event) {
    const id = event.target.closest?.(".tile")?.dataset.id;
    const { boxes } = this.#layout;
    const index = boxes.findIndex(({ image }) => image.id === id);
    if (index >= 0 && event.key === "End") return this.#focusLast(event);
    const next =
      { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0 }[event.key] ?? this.#indexInAdjacentRow(event.key, index);
    if (index < 0 || next === null || !boxes[next]) return;
    event.preventDefault();
    this.focus(boxes[next].image.id);
  }

  /** Focuses the oldest image. Its month may have to be loaded first. */
  async #focusLast(event) {
    event.preventDefault();
    const last = this.library.sections.at(-1);
    if (last.month !== null) await this.library.loadAll(last);
    this.#layOut();
    const box = this.#layout.boxes.at(-1);
    if (box) this.focus(box.image.id);
  }

  #indexInAdjacentRow(key, index) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    const { boxes } = this.#layout;
    const current = boxes[index];
    if (!step || !current) return null;
    let next = index;
    while (boxes[next]?.top === current.top) next += step;
    if (!boxes[next]) return null;
    const row = boxes.map((box, i) => ({ box, i })).filter(({ box }) => box.top === boxes[next].top);
    const distance = ({ box }) => Math.abs(box.left + box.width / 2 - current.left - current.width / 2);
    return row.sort((a, b) => distance(a) - distance(b))[0].i;
  }

  #refreshUrls() {
    if (!document.hidden) this.library.refreshUrls([...this.#tiles.keys()]).catch(() => {});
  }

  // The URL may have expired while the device was suspended. The second error of an image has another cause.
  #handleLoadError(id) {
    if (this.#idsWithLoadError.has(id)) return;
    this.#idsWithLoadError.add(id);
    this.library.refreshUrls([id], { force: true }).catch(() => {});
  }
}
