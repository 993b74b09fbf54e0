/** The gallery page: storage usage, selection bar, image grid, empty state and loading indicator. */

import { describeProblem } from "../problems.js";
import { el, moveFocusIfHidden } from "../ui/dom.js";
import { formatBytes, formatPercent, typeNames } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { acceptDropsAndPastes, openFileChooser } from "../uploads/sources.js";
import { Grid } from "./grid.js";
import { createSelectionBar, deleteSelected } from "./selection_bar.js";

const SORTS = ["taken_at", "uploaded_at"];
/** The scrubber is of use in libraries that are longer than this. */
const MIN_SCRUBBER_SCREENS = 2;

export class GalleryPage {
  constructor(shell, { onOpen, onShare }) {
    Object.assign(this, { shell, onShare });
    this.grid = new Grid(shell.library, shell.selection, { onOpen, onMove: () => this.#updateScrubber() });
    this.#build();
    this.#listen();
    this.#update();
  }

  remove() {
    this.controller.abort();
    this.grid.remove();
    this.scrubber?.remove();
    this.stopDropsAndPastes();
    this.element.remove();
  }

  #build() {
    const { selection } = this.shell;
    this.usageText = el("p", { class: "usage" });
    this.usageMeter = el("meter", { class: "usage-meter", "aria-label": translate("usage.label"), hidden: true });
    const attributes = { type: "button", class: "text-button", onclick: () => selection.open() };
    this.selectButton = el("button", attributes, translate("select.start"));
    const sorts = SORTS.map((sort) => el("option", { value: sort }, translate(`sort.${sort}`)));
    const onchange = ({ target }) => this.#setSort(target.value);
    this.sortSelect = el("select", { class: "sort", "aria-label": translate("sort.label"), onchange }, sorts);
    this.header = el(
      "div",
      { class: "gallery-header" },
      this.usageText,
      this.usageMeter,
      el("div", { class: "gallery-actions" }, this.sortSelect, this.selectButton),
    );
    this.selectionBar = createSelectionBar(this.shell, { onShare: this.onShare });
    this.emptyState = createEmptyState(this.shell);
    this.footer = el("div", { class: "gallery-footer" });
    this.element = el(
      "div",
      { class: "gallery" },
      el("h1", { class: "visually-hidden" }, translate("gallery.title")),
      this.header,
      this.selectionBar.element,
      this.grid.element,
      this.emptyState,
      this.footer,
    );
  }

  #listen() {
    const { library, selection, uploads } = this.shell;
    this.controller = new AbortController();
    const { signal } = this.controller;
    library.addEventListener("changed", () => this.#update(), { signal });
    this.shell.addEventListener("usage", () => this.#update(), { signal });
    addEventListener("keydown", (event) => this.#handleKey(event), { signal });
    selection.addEventListener("changed", () => this.#update(), { signal });
    this.stopDropsAndPastes = acceptDropsAndPastes(uploads);
  }

  #setSort(sort) {
    scrollTo(0, 0);
    this.shell.library.setSort(sort);
  }

  /** Shows the scrubber in a long timeline, and moves it with the grid. */
  async #updateScrubber() {
    const isUseful =
      this.shell.library.sort === "taken_at" &&
      this.grid.layout.sections.length > 1 &&
      this.grid.layout.height > innerHeight * MIN_SCRUBBER_SCREENS;
    if (isUseful && !this.scrubber) {
      this.scrubber = { remove() {} };
      const { Scrubber } = await import("./scrubber.js");
      if (this.controller.signal.aborted) return;
      this.scrubber = new Scrubber(this.grid);
      this.element.append(this.scrubber.element);
    }
    this.element.classList.toggle("with-scrubber", isUseful);
    if (!this.scrubber?.element) return; // It is not loaded yet.
    this.scrubber.element.hidden = !isUseful;
    if (isUseful) this.scrubber.update();
  }

  #update() {
    const { library, usage, selection } = this.shell;
    const focused = document.activeElement;
    const isEmpty = library.isLoaded && !library.isLoading && library.count === 0;
    this.emptyState.hidden = !isEmpty;
    this.header.hidden = isEmpty || selection.isOpen;
    this.sortSelect.value = library.sort;
    this.selectionBar.update();
    moveFocusIfHidden(focused, this.header, this.selectionBar.closeButton);
    const successor = isEmpty ? this.emptyState.querySelector("button") : this.selectButton;
    moveFocusIfHidden(focused, this.selectionBar.element, successor);
    this.#showUsage(usage);
    this.#updateFooter(library);
  }

  #showUsage(usage) {
    if (!usage) return;
    const { images, bytes } = this.shell.library.hidden;
    usage = { ...usage, images: usage.images - images, bytes: usage.bytes - bytes };
    const fraction = usedFraction(usage);
    this.usageText.textContent = describeUsage(usage);
    this.usageMeter.hidden = fraction === null;
    if (fraction !== null) this.usageMeter.value = fraction;
  }

  #updateFooter(library) {
    const { isLoading, problem } = library;
    this.footer.classList.toggle("load-problem", Boolean(problem));
    if (problem) {
      const retry = el("button", { type: "button", onclick: () => library.retry() }, translate("retry"));
      this.footer.replaceChildren(el("p", {}, describeProblem(problem)), retry);
    } else if (isLoading) {
      const attributes = { class: "spinner", role: "img", "aria-label": translate("gallery.loading") };
      this.footer.replaceChildren(el("span", attributes));
    } else {
      this.footer.replaceChildren();
    }
  }

  #handleKey(event) {
    const { selection, library } = this.shell;
    if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea, select")) return;
    if (event.key === "Escape" && selection.isOpen) selection.close();
    if (event.key === "a" && (event.ctrlKey || event.metaKey) && selection.isOpen) {
      event.preventDefault();
      selection.selectAll();
    }
    if (event.key === "Delete" && selection.count(library.count)) deleteSelected(this.shell);
  }
}

/** Returns the used fraction of the image quota or of the storage quota, whichever is larger; null without a quota. */
export function usedFraction({ images, bytes, limit }) {
  const fractions = [limit.images && images / limit.images, limit.bytes && bytes / limit.bytes].filter(
    (fraction) => fraction !== null,
  );
  return fractions.length ? Math.max(...fractions) : null;
}

export function describeUsage({ images, bytes, limit }) {
  const used = formatBytes(bytes);
  const parts = [
    translate("usage.images", { count: images }),
    limit.bytes ? translate("usage.bytesOf", { used, limit: formatBytes(limit.bytes) }) : used,
  ];
  if (limit.images) {
    const percent = formatPercent(images / limit.images);
    parts.push(translate("usage.percentOfImages", { percent, count: limit.images }));
  }
  return parts.join(" · ");
}

function createEmptyState({ uploads, config }) {
  const limit = formatBytes(Math.max(config.max_file_size, config.max_direct_file_size));
  return el(
    "section",
    { class: "empty-state", hidden: true },
    el("div", { class: "empty-state-art", "aria-hidden": "true" }, el("span"), el("span"), el("span")),
    el("h2", {}, translate("empty.title")),
    el("p", {}, translate("empty.text")),
    el(
      "div",
      { class: "actions" },
      el(
        "button",
        { type: "button", class: "primary", onclick: () => openFileChooser(uploads) },
        icon("upload"),
        translate("empty.choose"),
      ),
      el(
        "button",
        { type: "button", class: "touch-only", onclick: () => openFileChooser(uploads, { camera: true }) },
        icon("camera"),
        translate("upload.camera"),
      ),
    ),
    el("p", { class: "muted small" }, translate("empty.types", { types: typeNames(config), limit })),
  );
}
