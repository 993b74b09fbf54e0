/** The gallery's page: its line of figures and actions, the pictures, and what is shown while there are none. */

import { h, passFocus } from "../parts/dom.js";
import { bytes, percent } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { explain } from "../problems.js";
import { acceptDropsAndPastes, chooseFiles } from "../uploads/sources.js";
import { typeNames } from "../uploads/checks.js";
import { Grid } from "./grid.js";

const AHEAD = "1500px";

export class GalleryPage {
  constructor(desk, { onOpen }) {
    this.desk = desk;
    this.grid = new Grid(desk.library, desk.selection, { onOpen });
    this.#build();
    this.#listen();
    this.#refresh();
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    this.grid.remove();
    this.stopDrops();
    this.element.remove();
  }

  #build() {
    const { selection } = this.desk;
    this.figures = h("p", { class: "figures" });
    this.quota = h("meter", { class: "quota", "aria-label": t("usage.label"), hidden: true });
    this.select = h("button", { type: "button", class: "quiet", onclick: () => selection.open() }, t("select.start"));
    this.line = h("div", { class: "gallery-line" }, this.figures, this.quota, this.select);
    this.bar = selectionBar(this.desk);
    this.empty = emptyState(this.desk);
    this.foot = h("div", { class: "foot" });
    this.element = h(
      "div",
      { class: "gallery" },
      h("h1", { class: "spoken" }, t("gallery.title")),
      this.line,
      this.bar.element,
      this.grid.element,
      this.empty,
      this.foot,
    );
  }

  #listen() {
    const { library, selection, queue } = this.desk;
    this.controller = new AbortController();
    const { signal } = this.controller;
    library.addEventListener("changed", () => this.#refresh(), { signal });
    this.desk.addEventListener("usage", () => this.#refresh(), { signal });
    addEventListener("keydown", (event) => this.#key(event), { signal });
    selection.addEventListener("changed", () => this.#refresh(), { signal });
    // Fetched well before the end comes into sight.
    this.observer = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.#loadMore(), {
      rootMargin: AHEAD,
    });
    this.observer.observe(this.foot);
    this.stopDrops = acceptDropsAndPastes(queue);
  }

  async #loadMore() {
    const { library } = this.desk;
    await library.loadMore();
    // The observer tells of changes only, and a page that is too short leaves the foot where it was.
    this.observer.unobserve(this.foot);
    if (!library.problem && !library.isComplete) this.observer.observe(this.foot);
  }

  #refresh() {
    const { library, usage, selection } = this.desk;
    const focused = document.activeElement;
    const isEmpty = library.isComplete && library.images.length === 0;
    this.empty.hidden = !isEmpty;
    this.line.hidden = isEmpty || selection.isOpen;
    this.bar.refresh();
    passFocus(focused, this.line, this.bar.close);
    passFocus(focused, this.bar.element, isEmpty ? this.empty.querySelector("button") : this.select);
    this.#showUsage(usage);
    this.#showFoot(library);
  }

  #showUsage(usage) {
    if (!usage) return;
    const fraction = usedFraction(usage);
    this.figures.textContent = usageWords(usage);
    this.quota.hidden = fraction === null;
    if (fraction !== null) this.quota.value = fraction;
  }

  #showFoot({ isLoading, problem }) {
    if (problem) {
      const again = h("button", { type: "button", onclick: () => this.#loadMore() }, t("retry"));
      this.foot.replaceChildren(h("p", {}, explain(problem)), again);
    } else if (isLoading) {
      this.foot.replaceChildren(h("span", { class: "spinner", role: "img", "aria-label": t("gallery.loading") }));
    } else {
      this.foot.replaceChildren();
    }
  }

  #key(event) {
    const { selection, library } = this.desk;
    if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea")) return;
    if (event.key === "Escape" && selection.isOpen) selection.close();
    if (event.key === "a" && (event.ctrlKey || event.metaKey) && selection.isOpen) {
      event.preventDefault();
      selection.add(library.images.map(({ id }) => id));
    }
    if (event.key === "Delete" && selection.ids.size) deleteSelected(this.desk);
  }
}

/** The larger of both shares of the quota, or null without one. */
export function usedFraction({ images, bytes: used, limit }) {
  const shares = [limit.images && images / limit.images, limit.bytes && used / limit.bytes].filter(
    (share) => share !== null,
  );
  return shares.length ? Math.max(...shares) : null;
}

export function usageWords({ images, bytes: used, limit }) {
  const parts = [t("usage.images", { count: images })];
  parts.push(limit.bytes ? t("usage.bytesOf", { used: bytes(used), limit: bytes(limit.bytes) }) : bytes(used));
  if (limit.images) parts.push(t("usage.share", { share: percent(images / limit.images), count: limit.images }));
  return parts.join(" · ");
}

function emptyState({ queue, config }) {
  const limit = bytes(Math.max(config.max_file_size, config.max_direct_file_size));
  return h(
    "section",
    { class: "empty", hidden: true },
    h("div", { class: "empty-art", "aria-hidden": "true" }, h("span"), h("span"), h("span")),
    h("h2", {}, t("empty.title")),
    h("p", {}, t("empty.text")),
    h(
      "div",
      { class: "actions" },
      h(
        "button",
        { type: "button", class: "primary", onclick: () => chooseFiles(queue) },
        icon("upload"),
        t("empty.choose"),
      ),
      h(
        "button",
        { type: "button", class: "touch-only", onclick: () => chooseFiles(queue, { camera: true }) },
        icon("camera"),
        t("upload.camera"),
      ),
    ),
    h("p", { class: "muted small" }, t("empty.types", { types: typeNames(config), limit })),
  );
}

function selectionBar(desk) {
  const { selection, library } = desk;
  const count = h("p", { class: "grow", role: "status" });
  const label = t("viewer.delete");
  const remove = h(
    "button",
    { type: "button", class: "danger", "aria-label": label, onclick: () => deleteSelected(desk) },
    icon("trash"),
    h("span", {}, label),
  );
  const all = h(
    "button",
    { type: "button", class: "quiet", onclick: () => selection.add(library.images.map(({ id }) => id)) },
    t("select.all"),
  );
  const close = h(
    "button",
    { type: "button", class: "round", "aria-label": t("select.end"), onclick: () => selection.close() },
    icon("cross"),
  );
  const bar = h(
    "div",
    { class: "selection-bar", role: "toolbar", "aria-label": t("select.label"), hidden: true },
    close,
    count,
    all,
    remove,
  );
  const refresh = () => {
    bar.hidden = !selection.isOpen;
    count.textContent = t("select.count", { count: selection.ids.size });
    remove.disabled = selection.ids.size === 0;
  };
  return { element: bar, close, refresh };
}

function deleteSelected({ selection, deletions }) {
  deletions.start([...selection.ids]);
  selection.close();
}
