/** The gallery page: storage usage, selection bar, image grid, empty state and loading indicator. */

import { describeProblem } from "../problems.js";
import { el, moveFocusIfHidden } from "../ui/dom.js";
import { formatBytes, formatPercent } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { acceptDropsAndPastes, openFileChooser } from "../uploads/sources.js";
import { typeNames } from "../uploads/validation.js";
import { Grid } from "./grid.js";

const LOAD_AHEAD = "1500px";

export class GalleryPage {
  constructor(shell, { onOpen, onShare }) {
    Object.assign(this, { shell, onShare });
    this.grid = new Grid(shell.library, shell.selection, { onOpen });
    this.#build();
    this.#listen();
    this.#update();
  }

  remove() {
    this.controller.abort();
    this.observer.disconnect();
    this.grid.remove();
    this.stopDropsAndPastes();
    this.element.remove();
  }

  #build() {
    const { selection } = this.shell;
    this.usageText = el("p", { class: "usage" });
    this.usageMeter = el("meter", { class: "usage-meter", "aria-label": translate("usage.label"), hidden: true });
    const attributes = { type: "button", class: "text-button", onclick: () => selection.open() };
    this.selectButton = el("button", attributes, translate("select.start"));
    this.header = el("div", { class: "gallery-header" }, this.usageText, this.usageMeter, this.selectButton);
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
    const { library, selection, queue } = this.shell;
    this.controller = new AbortController();
    const { signal } = this.controller;
    library.addEventListener("changed", () => this.#update(), { signal });
    this.shell.addEventListener("usage", () => this.#update(), { signal });
    addEventListener("keydown", (event) => this.#handleKey(event), { signal });
    selection.addEventListener("changed", () => this.#update(), { signal });
    // The margin starts loading before the user reaches the end of the page.
    this.observer = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && this.#loadMore(), {
      rootMargin: LOAD_AHEAD,
    });
    this.observer.observe(this.footer);
    this.stopDropsAndPastes = acceptDropsAndPastes(queue);
  }

  async #loadMore() {
    const { library } = this.shell;
    await library.loadMore();
    // The observer reports changes only. If the new images do not move the footer out of the margin, observing it again
    // triggers the next call.
    this.observer.unobserve(this.footer);
    if (!library.problem && !library.isComplete) this.observer.observe(this.footer);
  }

  #update() {
    const { library, usage, selection } = this.shell;
    const focused = document.activeElement;
    const isEmpty = library.isComplete && library.images.length === 0;
    this.emptyState.hidden = !isEmpty;
    this.header.hidden = isEmpty || selection.isOpen;
    this.selectionBar.update();
    moveFocusIfHidden(focused, this.header, this.selectionBar.closeButton);
    const successor = isEmpty ? this.emptyState.querySelector("button") : this.selectButton;
    moveFocusIfHidden(focused, this.selectionBar.element, successor);
    this.#showUsage(usage);
    this.#updateFooter(library);
  }

  #showUsage(usage) {
    if (!usage) return;
    const fraction = usedFraction(usage);
    this.usageText.textContent = describeUsage(usage);
    this.usageMeter.hidden = fraction === null;
    if (fraction !== null) this.usageMeter.value = fraction;
  }

  #updateFooter({ isLoading, problem }) {
    if (problem) {
      const retry = el("button", { type: "button", onclick: () => this.#loadMore() }, translate("retry"));
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
    if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea")) return;
    if (event.key === "Escape" && selection.isOpen) selection.close();
    if (event.key === "a" && (event.ctrlKey || event.metaKey) && selection.isOpen) {
      event.preventDefault();
      selection.add(library.images.map(({ id }) => id));
    }
    if (event.key === "Delete" && selection.ids.size) deleteSelected(this.shell);
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

function createEmptyState({ queue, config }) {
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
        { type: "button", class: "primary", onclick: () => openFileChooser(queue) },
        icon("upload"),
        translate("empty.choose"),
      ),
      el(
        "button",
        { type: "button", class: "touch-only", onclick: () => openFileChooser(queue, { camera: true }) },
        icon("camera"),
        translate("upload.camera"),
      ),
    ),
    el("p", { class: "muted small" }, translate("empty.types", { types: typeNames(config), limit })),
  );
}

function createSelectionBar(shell, { onShare }) {
  const { selection, library } = shell;
  const count = el("p", { class: "grow", role: "status" });
  const deleteLabel = translate("viewer.delete");
  const deleteButton = el(
    "button",
    { type: "button", class: "danger", "aria-label": deleteLabel, onclick: () => deleteSelected(shell) },
    icon("trash"),
    el("span", {}, deleteLabel),
  );
  const shareButton = createShareButton(shell, onShare);
  const selectAllButton = el(
    "button",
    { type: "button", class: "text-button", onclick: () => selection.add(library.images.map(({ id }) => id)) },
    translate("select.all"),
  );
  const closeButton = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": translate("select.end"), onclick: () => selection.close() },
    icon("cross"),
  );
  const bar = el(
    "div",
    { class: "selection-bar", role: "toolbar", "aria-label": translate("select.label"), hidden: true },
    closeButton,
    count,
    selectAllButton,
    shareButton,
    deleteButton,
  );
  const update = () => {
    bar.hidden = !selection.isOpen;
    count.textContent = translate("select.count", { count: selection.ids.size });
    for (const button of [shareButton, deleteButton]) button.disabled = selection.ids.size === 0;
  };
  return { element: bar, closeButton, update };
}

/** The images are shared in the order of the gallery, not in that of their selection. */
function createShareButton({ selection, library }, onShare) {
  const label = translate("viewer.share");
  const share = () => onShare(library.images.map(({ id }) => id).filter((id) => selection.ids.has(id)));
  const attributes = { type: "button", "aria-label": label, onclick: share };
  return el("button", attributes, icon("link"), el("span", {}, label));
}

function deleteSelected({ selection, deletions }) {
  deletions.delete([...selection.ids]);
  selection.close();
}
