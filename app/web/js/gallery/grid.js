/** The grid of images. Only the tiles near the visible part of the page are in the document. */

import { describeProblem } from "../problems.js";
import { byId, el, setStyle } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { layOutRows, rowHeightFor } from "./layout.js";
import { createTile } from "./tile.js";

const RENDERED_SCREENS_AROUND = 1.2;
const ANIMATION_MS = 400;
const REFRESH_URLS_EVERY_MS = 20_000;

export class Grid {
  #tiles = new Map();
  #layout = { tiles: [], height: 0 };
  #images = [];
  #width = 0;
  #frameRequest = 0;
  #isLayoutStale = false;
  #idsWithLoadError = new Set();

  constructor(library, selection, { onOpen }) {
    Object.assign(this, { library, selection, onOpen });
    this.element = el("ul", { class: "grid", "aria-label": translate("gallery.label") });
    this.#listen();
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    clearInterval(this.refreshTimer);
    clearTimeout(this.animationTimer);
  }

  /** Scrolls to an image if necessary, and focuses it. */
  focus(id) {
    const index = this.#images.findIndex((image) => image.id === id);
    if (index < 0) return;
    const box = this.#layout.tiles[index];
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
    this.observer = new ResizeObserver(() => this.#layOut());
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
    this.#images = this.library.images;
    const ratios = this.#images.map((image) => (image.width || 1) / (image.height || 1));
    this.#layout = layOutRows(ratios, { width, rowHeight: rowHeightFor(width), gap: width < 600 ? 4 : 8 });
    setStyle(this.element, { height: `${this.#layout.height}px` });
    if (animate && width === this.#width) this.#animate();
    this.#width = width;
    this.#render();
  }

  #animate() {
    this.element.classList.add("animated");
    clearTimeout(this.animationTimer);
    this.animationTimer = setTimeout(() => this.element.classList.remove("animated"), ANIMATION_MS);
  }

  #render() {
    const indices = this.#nearbyIndices();
    const ids = new Set(indices.map((index) => this.#images[index].id));
    let lostFocusIndex = null;
    for (const [id, tile] of this.#tiles) {
      const hasFocus = tile.element.contains(document.activeElement);
      if (ids.has(id) || (hasFocus && this.library.find(id))) continue;
      if (hasFocus) lostFocusIndex = tile.index;
      tile.element.remove();
      this.#tiles.delete(id);
    }
    let before = this.element.firstElementChild;
    for (const index of indices) {
      const tile = this.#getOrCreateTile(this.#images[index].id);
      tile.moveTo(this.#layout.tiles[index], index, this.#images.length);
      tile.show(this.#images[index]);
      if (tile.element === before) before = before.nextElementSibling;
      else this.element.insertBefore(tile.element, before);
    }
    if (lostFocusIndex !== null) this.#focusNear(lostFocusIndex);
  }

  #focusNear(index) {
    const image = this.#images[Math.min(index, this.#images.length - 1)];
    if (image) this.focus(image.id);
    else byId("main").focus();
  }

  /** Returns the indices of the images within about one screen of the visible part of the page. */
  #nearbyIndices() {
    const top = -this.element.getBoundingClientRect().top;
    const from = top - innerHeight * RENDERED_SCREENS_AROUND;
    const to = top + innerHeight * (1 + RENDERED_SCREENS_AROUND);
    const indices = [];
    for (let i = this.#firstEndingAfter(from); i < this.#layout.tiles.length && this.#layout.tiles[i].top < to; i++)
      indices.push(i);
    return indices;
  }

  #firstEndingAfter(y) {
    const { tiles } = this.#layout;
    let [low, high] = [0, tiles.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tiles[middle].top + tiles[middle].height < y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #getOrCreateTile(id) {
    if (!this.#tiles.has(id)) {
      const tile = createTile(id, {
        onOpen: (event) => this.#handleClick(event, id),
        onSelect: (event) => this.#select(event, id),
        onLoadError: () => this.#handleLoadError(id),
        onRetry: () => this.#retryThumbnails(id),
      });
      tile.setSelected(this.selection.ids.has(id));
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
        this.#images.map((image) => image.id),
      );
    else this.selection.toggle(id);
  }

  #updateSelection() {
    this.element.classList.toggle("selecting", this.selection.isOpen);
    for (const [id, tile] of this.#tiles) tile.setSelected(this.selection.ids.has(id));
  }

  /** Moves the focus with the arrow keys. Up and down go to the nearest image in the adjacent row. */
  #handleKey(event) {
    const id = event.target.closest?.(".tile")?.dataset.id;
    const index = this.#images.findIndex((image) => image.id === id);
    const last = this.#images.length - 1;
    const next =
      { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last }[event.key] ??
      this.#indexInAdjacentRow(event.key, index);
    if (index < 0 || next === null || next < 0 || next > last) return;
    event.preventDefault();
    this.focus(this.#images[next].id);
  }

  #indexInAdjacentRow(key, index) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (!step) return null;
    const { tiles } = this.#layout;
    const current = tiles[index];
    let next = index;
    while (tiles[next]?.top === current.top) next += step;
    if (!tiles[next]) return null;
    const row = tiles.map((box, i) => ({ box, i })).filter(({ box }) => box.top === tiles[next].top);
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
