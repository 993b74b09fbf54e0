/** The gallery's pictures: only those near the window are in the document, however many there are. */

import { h, style } from "../parts/dom.js";
import { t } from "../parts/i18n.js";
import { toast } from "../parts/toasts.js";
import { explain } from "../problems.js";
import { justify, suitableRowHeight } from "./layout.js";
import { makeTile } from "./tile.js";

const SCREENS_AROUND = 1.2;
const GLIDE_MS = 400;
const RENEW_EVERY_MS = 20_000;

export class Grid {
  #tiles = new Map();
  #layout = { tiles: [], height: 0 };
  #images = [];
  #width = 0;
  #frame = 0;
  #isStale = false;
  #brokenBefore = new Set();

  constructor(library, selection, { onOpen }) {
    Object.assign(this, { library, selection, onOpen });
    this.element = h("ul", { class: "grid", "aria-label": t("gallery.label") });
    this.#listen();
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    clearInterval(this.renewing);
    clearTimeout(this.gliding);
  }

  /** Puts the focus on a picture, which may first have to be put into the document. */
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
    this.library.addEventListener("changed", () => this.#soon({ arrange: true }), { signal });
    this.selection.addEventListener("changed", () => this.#markSelected(), { signal });
    addEventListener("scroll", () => this.#soon({}), { signal, passive: true });
    this.element.addEventListener("keydown", (event) => this.#walk(event));
    this.observer = new ResizeObserver(() => this.#arrange());
    this.observer.observe(this.element);
    this.renewing = setInterval(() => this.#renew(), RENEW_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.#renew(), { signal });
  }

  #soon({ arrange = false }) {
    this.#isStale ||= arrange;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#isStale) this.#arrange({ glide: true });
      else this.#render();
    });
  }

  #arrange({ glide = false } = {}) {
    const width = this.element.clientWidth;
    if (!width) return;
    this.#isStale = false;
    this.#images = this.library.images;
    const ratios = this.#images.map((image) => (image.width || 1) / (image.height || 1));
    this.#layout = justify(ratios, { width, rowHeight: suitableRowHeight(width), gap: width < 600 ? 4 : 8 });
    style(this.element, { height: `${this.#layout.height}px` });
    if (glide && width === this.#width) this.#glide();
    this.#width = width;
    this.#render();
  }

  #glide() {
    this.element.classList.add("gliding");
    clearTimeout(this.gliding);
    this.gliding = setTimeout(() => this.element.classList.remove("gliding"), GLIDE_MS);
  }

  #render() {
    const wanted = this.#near();
    const ids = new Set(wanted.map((index) => this.#images[index].id));
    let lost = null;
    for (const [id, tile] of this.#tiles) {
      const hasFocus = tile.element.contains(document.activeElement);
      if (ids.has(id) || (hasFocus && this.library.find(id))) continue;
      if (hasFocus) lost = tile.index;
      tile.element.remove();
      this.#tiles.delete(id);
    }
    let before = this.element.firstElementChild;
    for (const index of wanted) {
      const tile = this.#tile(this.#images[index].id);
      tile.place(this.#layout.tiles[index], index, this.#images.length);
      tile.show(this.#images[index]);
      if (tile.element === before) before = before.nextElementSibling;
      else this.element.insertBefore(tile.element, before);
    }
    if (lost !== null) this.#focusNear(lost);
  }

  #focusNear(index) {
    const heir = this.#images[Math.min(index, this.#images.length - 1)];
    if (heir) this.focus(heir.id);
    else document.getElementById("main").focus();
  }

  /** Indices of the pictures within a screen or so of the window. */
  #near() {
    const top = -this.element.getBoundingClientRect().top;
    const [from, to] = [top - innerHeight * SCREENS_AROUND, top + innerHeight * (1 + SCREENS_AROUND)];
    const near = [];
    for (let i = this.#firstEndingAfter(from); i < this.#layout.tiles.length && this.#layout.tiles[i].top < to; i++)
      near.push(i);
    return near;
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

  #tile(id) {
    if (!this.#tiles.has(id)) {
      const tile = makeTile(id, {
        onOpen: (event) => this.#press(event, id),
        onSelect: (event) => this.#select(event, id),
        onBroken: () => this.#repair(id),
        onRetry: () => this.#renderAgain(id),
      });
      tile.mark(this.selection.ids.has(id));
      this.#tiles.set(id, tile);
    }
    return this.#tiles.get(id);
  }

  #renderAgain(id) {
    this.library.renderAgain(id).catch((problem) => toast(explain(problem), { kind: "bad" }));
  }

  #press(event, id) {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    if (this.selection.isOpen) this.#select(event, id);
    else this.onOpen(id);
  }

  #select(event, id) {
    if (event.shiftKey)
      this.selection.extend(
        id,
        this.#images.map((image) => image.id),
      );
    else this.selection.toggle(id);
  }

  #markSelected() {
    this.element.classList.toggle("selecting", this.selection.isOpen);
    for (const [id, tile] of this.#tiles) tile.mark(this.selection.ids.has(id));
  }

  /** Arrow keys go from picture to picture; up and down to the one nearest in the next row. */
  #walk(event) {
    const id = event.target.closest?.(".tile")?.dataset.id;
    const index = this.#images.findIndex((image) => image.id === id);
    const last = this.#images.length - 1;
    const next =
      { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last }[event.key] ??
      this.#vertical(event.key, index);
    if (index < 0 || next === null || next < 0 || next > last) return;
    event.preventDefault();
    this.focus(this.#images[next].id);
  }

  #vertical(key, index) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (!step) return null;
    const { tiles } = this.#layout;
    const here = tiles[index];
    let next = index;
    while (tiles[next]?.top === here.top) next += step;
    if (!tiles[next]) return null;
    const row = tiles.map((box, i) => ({ box, i })).filter(({ box }) => box.top === tiles[next].top);
    const distance = ({ box }) => Math.abs(box.left + box.width / 2 - here.left - here.width / 2);
    return row.sort((a, b) => distance(a) - distance(b))[0].i;
  }

  #renew() {
    if (!document.hidden) this.library.renew([...this.#tiles.keys()]).catch(() => {});
  }

  // A URL that does not load may have expired while the machine slept; once is enough to find out.
  #repair(id) {
    if (this.#brokenBefore.has(id)) return;
    this.#brokenBefore.add(id);
    this.library.renew([id], { force: true }).catch(() => {});
  }
}
