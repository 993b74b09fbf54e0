/** The elements of the sections near the visible part of the page: a heading, the list of tiles, and a placeholder. */

import { el, setStyle, uniqueId } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { formatMonth } from "./months.js";

export class SectionViews {
  #views = new Map();

  constructor(parent) {
    this.parent = parent;
  }

  listOf(section) {
    return this.#views.get(section).list;
  }

  hasFocus(section) {
    return Boolean(this.#views.get(section)?.element.contains(document.activeElement));
  }

  /** Shows these sections of the layout, which are in the order of the page, and removes all others. */
  show(placed) {
    const shown = new Set(placed.map(({ section }) => section));
    for (const [section, { element }] of this.#views) {
      if (shown.has(section)) continue;
      element.remove();
      this.#views.delete(section);
    }
    let before = this.parent.firstElementChild;
    for (const { section, top, height, rest, restHeight } of placed) {
      if (!this.#views.has(section)) this.#views.set(section, createView(section));
      const { element, count, placeholder } = this.#views.get(section);
      setStyle(element, { top: `${top}px`, height: `${height}px` });
      count.textContent = translate("usage.images", { count: section.count - section.hiddenCount });
      placeholder.hidden = !restHeight;
      setStyle(placeholder, { top: `${rest - top}px`, height: `${restHeight}px` });
      if (element === before) before = before.nextElementSibling;
      else this.parent.insertBefore(element, before);
    }
  }
}

function createView({ month }) {
  const id = uniqueId("section");
  const count = el("span", { class: "muted" });
  const placeholder = el("div", { class: "section-placeholder", hidden: true });
  const list = el("ul", month === null ? { "aria-label": translate("gallery.label") } : { "aria-labelledby": id });
  const heading = month !== null && el("h2", { class: "section-title" }, el("span", { id }, formatMonth(month)), count);
  return { element: el("section", { class: "grid-section" }, heading, list, placeholder), list, count, placeholder };
}
