/** One image, large: from picture to picture by key, button or swipe; its details beside it. */

import { h, passFocus } from "../parts/dom.js";
import { clock } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { toast } from "../parts/toasts.js";
import { explain } from "../problems.js";
import { Details } from "./details.js";
import { copyText, download } from "./sharing.js";
import { Stage } from "./stage.js";
import { onSwipe } from "./swipe.js";

const WIDE = matchMedia("(min-width: 900px)");

export class Viewer {
  controller = new AbortController();
  #view = null;

  /** `onMove(id)` is told which image is shown, `onClose(id)` which was the last. */
  constructor({ api, library, deletions, onMove, onClose }) {
    Object.assign(this, { api, library, deletions, onMove, onClose });
    this.stage = new Stage();
    this.details = new Details({
      save: (id, changes) => this.#save(id, changes),
      renderAgain: (id) => library.renderAgain(id),
    });
    this.#build();
    library.addEventListener("changed", () => this.#refresh(), { signal: this.controller.signal });
  }

  get isOpen() {
    return this.dialog.open;
  }

  async show(id) {
    if (!this.isOpen) this.#open();
    try {
      this.#display(await this.library.fetch(id));
      await this.library.renew([id]);
    } catch (problem) {
      toast(explain(problem), { kind: "bad" });
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
    const button = (name, symbol, onclick) =>
      h("button", { type: "button", class: "round", "aria-label": t(name), title: t(name), onclick }, icon(symbol));
    this.previous = button("viewer.previous", "left", () => this.#step(-1));
    this.next = button("viewer.next", "right", () => this.#step(1));
    this.previous.classList.add("step", "step-back");
    this.next.classList.add("step", "step-on");
    this.info = button("viewer.details", "info", () => this.#toggleDetails());
    this.title = h("h2", { class: "viewer-title" });
    const bar = h(
      "header",
      { class: "viewer-bar" },
      button("close", "cross", () => this.dialog.close()),
      this.title,
      button("viewer.copyLink", "link", () => this.#copyLink()),
      button("viewer.download", "download", () => this.#download()),
      button("viewer.delete", "trash", () => this.#delete()),
      this.info,
    );
    const picture = h("div", { class: "viewer-picture" }, this.stage.element, this.previous, this.next);
    this.dialog = h("dialog", { class: "viewer", "aria-label": t("viewer.label") }, bar, picture, this.details.element);
    // The dialog itself would hear nothing where an edit that is over has left the focus nowhere.
    addEventListener("keydown", (event) => this.#key(event), { signal: this.controller.signal });
    this.dialog.addEventListener("close", () => this.#closed());
    onSwipe(this.stage.element, { onStep: (step) => this.#step(step), onDown: () => this.dialog.close() });
    document.body.append(this.dialog);
  }

  #open() {
    this.#showDetails(WIDE.matches);
    this.dialog.showModal();
  }

  #closed() {
    const last = this.#view?.id;
    this.details.saveChanges();
    this.#view = null;
    this.stage.clear();
    this.onClose(last);
  }

  #display(view) {
    this.#view = view;
    this.title.textContent = view.filename;
    this.stage.show(view);
    this.details.show(view);
    const { before, after } = this.#showSteps();
    this.stage.prepare([after, before].filter(Boolean));
    this.onMove(view.id);
    if (!after) this.library.loadMore();
  }

  #refresh() {
    const view = this.#view && this.library.find(this.#view.id);
    if (!view) return;
    this.#showSteps();
    if (view === this.#view) return;
    this.#view = view;
    this.title.textContent = view.filename;
    this.stage.show(view);
    this.details.show(view);
  }

  #showSteps() {
    const focused = document.activeElement;
    const { before, after } = this.#neighbours();
    this.previous.hidden = !before;
    this.next.hidden = !after;
    for (const button of [this.previous, this.next]) passFocus(focused, button, this.stage.element);
    return { before, after };
  }

  #neighbours() {
    const images = this.library.images;
    const index = images.findIndex(({ id }) => id === this.#view.id);
    return { before: images[index - 1], after: index < 0 ? undefined : images[index + 1] };
  }

  #step(step) {
    const { before, after } = this.#neighbours();
    const next = step < 0 ? before : after;
    if (next) this.show(next.id);
  }

  #key(event) {
    const onTop = [...document.querySelectorAll("dialog[open]")].at(-1);
    if (onTop !== this.dialog || event.target.closest?.("input, textarea")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) this.#step(step);
    else if (event.key === "Delete" && !event.repeat) this.#delete();
    else if (event.key === "i") this.#toggleDetails();
  }

  #toggleDetails() {
    this.#showDetails(!this.dialog.classList.contains("with-details"));
  }

  #showDetails(areShown) {
    this.dialog.classList.toggle("with-details", areShown);
    this.info.setAttribute("aria-pressed", String(areShown));
  }

  async #copyLink() {
    await this.library.renew([this.#view.id]).catch(() => {});
    const { original_url: url, urls_expire_at: until } = this.#view;
    await copyText(url, this.dialog);
    toast(t("viewer.linkCopied", { time: clock(until) }));
  }

  #download() {
    download(this.api, this.#view).catch((problem) => toast(explain(problem), { kind: "bad" }));
  }

  #delete() {
    const { id } = this.#view;
    const { before, after } = this.#neighbours();
    const next = after ?? before;
    if (next) this.show(next.id);
    else this.dialog.close();
    this.deletions.start([id]);
  }

  async #save(id, changes) {
    this.library.put(await this.api.patch(`images/${id}`, changes));
  }
}
