/** Dialog that shows one image large, with its details. Keys, buttons and swipes go to the next and previous image. */

import { describeProblem } from "../problems.js";
import { el, moveFocusIfHidden } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { Details } from "./details.js";
import { downloadOriginal } from "./download.js";
import { ImagePane } from "./image_pane.js";
import { createZoomControls } from "./zoom_controls.js";

const WIDE_SCREEN = matchMedia("(min-width: 900px)");

export class Viewer {
  controller = new AbortController();
  #view = null;

  /**
   * Calls `onShow(id)` when an image is shown, `onShare(id)` when the user wants to share it, and `onClose(id)` with the
   * last image when the dialog is closed.
   */
  constructor({ api, config, library, deletions, onShow, onShare, onClose }) {
    Object.assign(this, { api, library, deletions, onShow, onShare, onClose });
    this.imagePane = new ImagePane({
      sizes: config.rendition_sizes ?? [], // Browsers may have cached the limits of an earlier version.
      onStep: (step) => this.#step(step),
      onDown: () => this.dialog.close(),
    });
    this.zoomControls = createZoomControls(this.imagePane.zoom);
    this.details = new Details({
      save: (id, changes) => this.#save(id, changes),
      retryThumbnails: (id) => library.retryThumbnails(id),
    });
    this.#build();
    library.addEventListener("changed", () => this.#update(), { signal: this.controller.signal });
  }

  get isOpen() {
    return this.dialog.open;
  }

  async show(id) {
    if (!this.isOpen) this.#open();
    try {
      this.#display(await this.library.fetch(id));
      await this.library.refreshUrls([id]);
    } catch (problem) {
      showToast(describeProblem(problem), { kind: "error" });
      this.dialog.close();
    }
  }

  close() {
    if (this.isOpen) this.dialog.close();
  }

  remove() {
    this.close();
    this.controller.abort();
    this.dialog.remove();
  }

  #build() {
    const button = (name, iconName, onclick) => {
      const label = { "aria-label": translate(name), title: translate(name) };
      return el("button", { type: "button", class: "icon-button", ...label, onclick }, icon(iconName));
    };
    this.previous = button("viewer.previous", "left", () => this.#step(-1));
    this.next = button("viewer.next", "right", () => this.#step(1));
    this.previous.classList.add("step-button", "step-previous");
    this.next.classList.add("step-button", "step-next");
    this.info = button("viewer.details", "info", () => this.#toggleDetails());
    this.title = el("h2", { class: "viewer-title" });
    const bar = el(
      "header",
      { class: "viewer-bar" },
      button("close", "cross", () => this.dialog.close()),
      this.title,
      button("viewer.share", "link", () => this.onShare(this.#view.id)),
      button("viewer.download", "download", () => this.#download()),
      button("viewer.delete", "trash", () => this.#delete()),
      this.info,
    );
    const imageParts = [this.imagePane.element, this.previous, this.next, this.zoomControls.element];
    const image = el("div", { class: "viewer-image" }, imageParts);
    const attributes = { class: "viewer", "aria-label": translate("viewer.label") };
    this.dialog = el("dialog", attributes, bar, image, this.details.element);
    // The listener is on the window because after an edit no element of the dialog may have the focus.
    addEventListener("keydown", (event) => this.#handleKey(event), { signal: this.controller.signal });
    this.dialog.addEventListener("close", () => this.#handleClose());
    document.body.append(this.dialog);
  }

  #open() {
    this.#showDetails(WIDE_SCREEN.matches);
    this.dialog.showModal();
  }

  #handleClose() {
    const lastId = this.#view?.id;
    this.details.saveChanges();
    this.#view = null;
    this.imagePane.clear();
    this.onClose(lastId);
  }

  #display(view) {
    this.#view = view;
    this.title.textContent = view.filename;
    this.imagePane.show(view);
    this.details.show(view);
    const { before, after } = this.#updateStepButtons();
    this.imagePane.preload([after, before].filter(Boolean));
    this.onShow(view.id);
    if (!after) this.library.loadMore();
  }

  #update() {
    const view = this.#view && this.library.find(this.#view.id);
    if (!view) return;
    this.#updateStepButtons();
    if (view === this.#view) return;
    this.#view = view;
    this.title.textContent = view.filename;
    this.imagePane.show(view);
    this.details.show(view);
  }

  #updateStepButtons() {
    const focused = document.activeElement;
    const { before, after } = this.#neighbors();
    this.previous.hidden = !before;
    this.next.hidden = !after;
    for (const button of [this.previous, this.next]) moveFocusIfHidden(focused, button, this.imagePane.element);
    return { before, after };
  }

  #neighbors() {
    return this.library.neighbors(this.#view.id);
  }

  #step(step) {
    const { before, after } = this.#neighbors();
    const next = step < 0 ? before : after;
    if (next) this.show(next.id);
  }

  #handleKey(event) {
    const topDialog = [...document.querySelectorAll("dialog[open]")].at(-1);
    if (topDialog !== this.dialog || event.target.closest?.("input, textarea")) return;
    if (this.zoomControls.handleKey(event)) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) this.#step(step);
    else if (event.key === "Delete" && !event.repeat) this.#delete();
    else if (event.key === "i") this.#toggleDetails();
  }

  #toggleDetails() {
    this.#showDetails(!this.dialog.classList.contains("with-details"));
  }

  #showDetails(isVisible) {
    this.dialog.classList.toggle("with-details", isVisible);
    this.info.setAttribute("aria-pressed", String(isVisible));
  }

  #download() {
    downloadOriginal(this.api, this.#view).catch((problem) => showToast(describeProblem(problem), { kind: "error" }));
  }

  #delete() {
    const { id } = this.#view;
    const { before, after } = this.#neighbors();
    const next = after ?? before;
    if (next) this.show(next.id);
    else this.dialog.close();
    this.deletions.delete([id]);
  }

  async #save(id, changes) {
    this.library.put(await this.api.patch(`images/${id}`, changes));
  }
}
