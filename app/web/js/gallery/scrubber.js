/** The slider beside the timeline: goes to any month of the library, with the pointer, by touch and with the keyboard. */

import { el, setStyle } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { loadStylesheet } from "../ui/stylesheets.js";
import { formatMonth } from "./months.js";

const MIN_YEAR_DISTANCE_REM = 1.75;
const HIDE_AFTER_MS = 1500;

export class Scrubber {
  controller = new AbortController();
  #index = 0;
  /** Whether the slider stays at the month that the user has chosen, although the page cannot scroll that far. */
  #isPinned = false;
  #isDragging = false;
  #hideTimer = 0;
  #shownLayout = null;

  constructor(grid) {
    this.grid = grid;
    this.bubble = el("span", { class: "scrubber-bubble", "aria-hidden": "true" });
    this.thumb = el(
      "div",
      {
        class: "scrubber-thumb",
        role: "slider",
        tabindex: 0,
        "aria-label": translate("scrubber.label"),
        "aria-orientation": "vertical",
        "aria-valuemin": 0,
      },
      this.bubble,
    );
    this.years = el("div", { class: "scrubber-years", "aria-hidden": "true" });
    this.element = el("div", { class: "scrubber" }, this.years, this.thumb);
    loadStylesheet("scrubber");
    this.#listen();
    // The height changes with the window, and when the stylesheet is loaded.
    this.observer = new ResizeObserver(() => this.element.clientHeight && this.#drawYears());
    this.observer.observe(this.element);
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    clearTimeout(this.#hideTimer);
    this.element.remove();
  }

  get #months() {
    return this.grid.layout.sections;
  }

  /** Shows where the visible part of the page is in the timeline. */
  update() {
    if (this.#shownLayout !== this.grid.layout) this.#drawYears();
    if (!this.#isPinned) this.#index = this.#indexAt(Math.max(0, this.grid.scrollTop) + 1);
    this.#index = Math.min(this.#index, this.#months.length - 1);
    const { section, top } = this.#months[this.#index];
    const position = this.#isPinned ? top : Math.max(0, this.grid.scrollTop);
    if (!this.#isDragging) this.#moveThumb(position / this.grid.layout.height);
    const label = formatMonth(section.month);
    const count = translate("usage.images", { count: section.count - section.hiddenCount });
    this.bubble.textContent = label;
    this.thumb.setAttribute("aria-valuemax", this.#months.length - 1);
    this.thumb.setAttribute("aria-valuenow", this.#index);
    this.thumb.setAttribute("aria-valuetext", `${label}, ${count}`);
    this.#showBriefly();
  }

  #listen() {
    const { signal } = this.controller;
    this.thumb.addEventListener("keydown", (event) => this.#handleKey(event));
    this.element.addEventListener("pointerdown", (event) => this.#startDragging(event));
    this.element.addEventListener("pointermove", (event) => this.#isDragging && this.#goToPointer(event));
    for (const name of ["pointerup", "pointercancel"]) this.element.addEventListener(name, () => this.#stopDragging());
    const release = ({ target }) => (this.#isPinned &&= this.element.contains(target));
    for (const name of ["wheel", "touchmove", "pointerdown", "keydown"])
      addEventListener(name, release, { signal, passive: true, capture: true });
  }

  /** Up goes to newer months, like on the page. */
  #handleKey(event) {
    const last = this.#months.length - 1;
    const target = {
      ArrowUp: this.#index - 1,
      ArrowLeft: this.#index - 1,
      ArrowDown: this.#index + 1,
      ArrowRight: this.#index + 1,
      PageUp: this.#indexInOtherYear(-1),
      PageDown: this.#indexInOtherYear(1),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#goTo(Math.min(last, Math.max(0, target)));
  }

  /** Returns the index of the first month of the next or previous year in the order of the page. */
  #indexInOtherYear(step) {
    const yearAt = (index) => this.#months[index]?.section.month.slice(0, 4);
    let index = this.#index;
    while (yearAt(index) === yearAt(this.#index)) index += step;
    while (step < 0 && yearAt(index - 1) && yearAt(index - 1) === yearAt(index)) index -= 1;
    return index;
  }

  #startDragging(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.thumb.focus({ preventScroll: true });
    this.#isDragging = true;
    this.element.classList.add("dragging");
    this.element.setPointerCapture(event.pointerId);
    this.#goToPointer(event);
  }

  #stopDragging() {
    this.#isDragging = false;
    this.element.classList.remove("dragging");
    this.update();
  }

  #goToPointer({ clientY }) {
    const { top, height } = this.element.getBoundingClientRect();
    const fraction = Math.min(1, Math.max(0, (clientY - top) / height));
    this.#moveThumb(fraction);
    const index = this.#indexAt(fraction * this.grid.layout.height);
    if (index !== this.#index || !this.#isPinned) this.#goTo(index);
  }

  #goTo(index) {
    this.#index = index;
    this.#isPinned = true;
    this.grid.scrollTo(this.#months[index].top);
    this.update();
  }

  #indexAt(top) {
    const index = this.#months.findLastIndex((placed) => placed.top <= top);
    return Math.max(0, index);
  }

  #moveThumb(fraction) {
    setStyle(this.thumb, { top: `${Math.min(1, fraction) * 100}%` });
  }

  /** Shows the years at the positions of their newest months, as far as there is room. */
  #drawYears() {
    this.#shownLayout = this.grid.layout;
    const height = this.element.clientHeight;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const labels = [];
    let lastTop = -Infinity;
    let lastYear = null;
    for (const { section, top } of this.#months) {
      const year = section.month.slice(0, 4);
      const y = (top / this.grid.layout.height) * height;
      if (year === lastYear || y - lastTop < MIN_YEAR_DISTANCE_REM * rem) continue;
      [lastTop, lastYear] = [y, year];
      labels.push(setStyle(el("span", {}, year), { top: `${y}px` }));
    }
    this.years.replaceChildren(...labels);
  }

  #showBriefly() {
    this.element.classList.add("visible");
    clearTimeout(this.#hideTimer);
    this.#hideTimer = setTimeout(() => this.element.classList.remove("visible"), HIDE_AFTER_MS);
  }
}
