/** Details of an image: its name and description, which can be edited, and its properties. */

import { failedThumbnail, isPending } from "../gallery/library.js";
import { describeProblem } from "../problems.js";
import { el, uniqueId } from "../ui/dom.js";
import { formatBytes, formatDateTime, typeName } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { cameraTexts } from "./camera.js";

const MAX_DESCRIPTION_LENGTH = 2000;
const SAVED_MESSAGE_MS = 2500;
const UNSAVED_TOAST_SECONDS = 30;

export class Details {
  #view = null;

  /** `save(id, changes)` and `retryThumbnails(id)` throw a Problem if they fail. */
  constructor({ save, retryThumbnails }) {
    Object.assign(this, { save, retryThumbnails });
    this.name = this.#createEditor("input", "filename", {
      maxlength: 255,
      enterkeyhint: "done",
      autocomplete: "off",
    });
    this.description = this.#createEditor("textarea", "description", {
      maxlength: MAX_DESCRIPTION_LENGTH,
      rows: 1,
      placeholder: translate("details.addDescription"),
    });
    this.status = el("p", { class: "field-message save-status", role: "status" });
    this.properties = el("dl", { class: "properties" });
    const editors = [this.name, this.description].map(({ label, input }) =>
      el("div", { class: "editor" }, label, input),
    );
    this.element = el(
      "aside",
      { class: "details", "aria-label": translate("viewer.details") },
      ...editors,
      this.status,
      this.properties,
    );
  }

  show(view) {
    const isOtherImage = view.id !== this.#view?.id;
    if (isOtherImage) this.saveChanges();
    this.#view = view;
    for (const { input, key } of [this.name, this.description]) {
      if (isOtherImage || document.activeElement !== input) input.value = view[key] ?? "";
    }
    if (isOtherImage) this.status.textContent = "";
    this.properties.replaceChildren(...propertiesOf(view), ...this.#thumbnailProperty(view));
  }

  #createEditor(tag, key, attributes) {
    const id = uniqueId("editor");
    const label = el("label", { for: id }, translate(`details.${key}`));
    const input = el(tag, { id, class: `edit-${key}`, ...attributes });
    input.addEventListener("change", () => this.saveChanges());
    input.addEventListener("keydown", (event) => this.#handleKey(event, { input, key }));
    return { label, input, key };
  }

  #handleKey(event, { input, key }) {
    const isSubmit = event.key === "Enter" && (key === "filename" || event.ctrlKey || event.metaKey);
    if (isSubmit) input.blur();
    if (event.key !== "Escape") return;
    event.preventDefault(); // Escape discards the edit. Only Escape outside a field closes the dialog.
    event.stopPropagation();
    input.value = this.#view[key] ?? "";
    input.blur();
  }

  /** Saves the fields whose values differ from those of the image. */
  async saveChanges() {
    const view = this.#view;
    const changes = {};
    for (const { input, key } of [this.name, this.description]) {
      const value = input.value.trim() || null;
      if (view && value !== view[key] && (value || key === "description")) changes[key] = value;
    }
    if (view && !this.name.input.value.trim()) this.name.input.value = view.filename;
    if (Object.keys(changes).length) await this.#send(view.id, changes);
  }

  async #send(id, changes) {
    const isShown = () => this.#view.id === id && this.element.checkVisibility();
    if (isShown()) this.#showStatus(translate("details.saving"));
    try {
      await this.save(id, changes);
      const saved = translate("details.saved");
      if (isShown()) this.#showStatus(saved);
      setTimeout(() => this.status.textContent === saved && this.#showStatus(""), SAVED_MESSAGE_MS);
    } catch (problem) {
      const message = translate("details.notSaved", { reason: describeProblem(problem) });
      // The field still contains the input while the image is shown. After that, only the toast can retry.
      const retry = { label: translate("retry"), run: () => this.#send(id, changes) };
      if (isShown()) this.#showStatus(message);
      else showToast(message, { kind: "error", action: retry, seconds: UNSAVED_TOAST_SECONDS });
    }
  }

  #showStatus(text) {
    this.status.textContent = text;
  }

  #thumbnailProperty(view) {
    const failed = failedThumbnail(view);
    if (!failed) return isPending(view) ? property("details.thumbnails", translate("tile.pending")) : [];
    const retry = el(
      "button",
      { type: "button", class: "text-button", onclick: () => this.#retryThumbnails() },
      icon("retry"),
      translate("retry"),
    );
    return property("details.thumbnails", translate("details.failed", { reason: failed.reason ?? "" }), retry);
  }

  #retryThumbnails() {
    this.retryThumbnails(this.#view.id).catch((problem) => this.#showStatus(describeProblem(problem)));
  }
}

function propertiesOf(view) {
  return [
    ...cameraTexts(view.metadata ?? {}).map(([key, text]) => property(key, text)),
    property("details.dimensions", `${view.width} × ${view.height}`),
    property("details.file", `${typeName(view.content_type)} · ${formatBytes(view.size)}`),
    property("details.uploaded", formatDateTime(view.uploaded_at)),
    view.source ? sourceProperties(view.source) : [],
    customProperties(view.custom_metadata),
  ].flat();
}

const customProperties = (pairs) => {
  const texts = Object.entries(pairs ?? {}).map(([key, value]) => el("div", {}, `${key}: ${value}`));
  return texts.length ? property("details.custom", ...texts) : [];
};

function sourceProperties({ ean, url, product_name, brand, licence, attribution }) {
  const link = url && el("a", { href: url, target: "_blank", rel: "noreferrer" }, new URL(url).host, icon("external"));
  return [
    property("details.product", [product_name, brand].filter(Boolean).join(", ") || ean),
    ean && property("details.ean", ean),
    link && property("details.source", link),
    (attribution || licence) && property("details.attribution", [attribution, licence].filter(Boolean).join(" · ")),
  ]
    .filter(Boolean)
    .flat();
}

const property = (key, ...value) => [el("dt", {}, translate(key)), el("dd", {}, ...value)];
