/** What is known of an image: name and description, which are edited where they stand, and the facts. */

import { h, uniqueId } from "../parts/dom.js";
import { bytes, date, typeName } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { toast } from "../parts/toasts.js";
import { explain } from "../problems.js";
import { failure, isPending } from "../gallery/library.js";

const MOST_LETTERS = 2000;
const SAID_MS = 2500;
const UNSAVED_SECONDS = 30;

export class Details {
  #view = null;

  /** `save(id, changes)` and `renderAgain(id)` do what their names say, and throw Problems. */
  constructor({ save, renderAgain }) {
    Object.assign(this, { save, renderAgain });
    this.name = this.#editor("input", "filename", { maxlength: 255, enterkeyhint: "done", autocomplete: "off" });
    this.description = this.#editor("textarea", "description", {
      maxlength: MOST_LETTERS,
      rows: 1,
      placeholder: t("details.describe"),
    });
    this.said = h("p", { class: "note said", role: "status" });
    this.facts = h("dl", { class: "facts" });
    const fields = [this.name, this.description].map(({ label, input }) => h("div", { class: "editor" }, label, input));
    this.element = h(
      "aside",
      { class: "details", "aria-label": t("viewer.details") },
      ...fields,
      this.said,
      this.facts,
    );
  }

  show(view) {
    const isOther = view.id !== this.#view?.id;
    if (isOther) this.saveChanges();
    this.#view = view;
    for (const { input, key } of [this.name, this.description]) {
      if (isOther || document.activeElement !== input) input.value = view[key] ?? "";
    }
    if (isOther) this.said.textContent = "";
    this.facts.replaceChildren(...facts(view), ...this.#thumbnailFact(view));
  }

  #editor(tag, key, attributes) {
    const id = uniqueId("edit");
    const label = h("label", { for: id }, t(`details.${key}`));
    const input = h(tag, { id, class: `edit-${key}`, ...attributes });
    input.addEventListener("change", () => this.saveChanges());
    input.addEventListener("keydown", (event) => this.#key(event, { input, key }));
    return { label, input, key };
  }

  #key(event, { input, key }) {
    const isDone = event.key === "Enter" && (key === "filename" || event.ctrlKey || event.metaKey);
    if (isDone) input.blur();
    if (event.key !== "Escape") return;
    event.preventDefault(); // Escape takes the edit back; only the next one closes the dialog
    event.stopPropagation();
    input.value = this.#view[key] ?? "";
    input.blur();
  }

  /** Saves what was typed and not left yet; nothing where nothing was. */
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
    if (isShown()) this.#say(t("details.saving"));
    try {
      await this.save(id, changes);
      if (isShown()) this.#say(t("details.saved"));
      setTimeout(() => this.said.textContent === t("details.saved") && this.#say(""), SAID_MS);
    } catch (problem) {
      const words = t("details.notSaved", { reason: explain(problem) });
      // What was typed stands in its field; once that is gone, only the message still has it.
      const again = { label: t("retry"), run: () => this.#send(id, changes) };
      if (isShown()) this.#say(words);
      else toast(words, { kind: "bad", action: again, seconds: UNSAVED_SECONDS });
    }
  }

  #say(text) {
    this.said.textContent = text;
  }

  #thumbnailFact(view) {
    const fault = failure(view);
    if (!fault) return isPending(view) ? fact("details.thumbnails", t("tile.pending")) : [];
    const again = h(
      "button",
      { type: "button", class: "quiet", onclick: () => this.#renderAgain() },
      icon("redo"),
      t("retry"),
    );
    return fact("details.thumbnails", t("details.failed", { reason: fault.reason ?? "" }), again);
  }

  #renderAgain() {
    this.renderAgain(this.#view.id).catch((problem) => this.#say(explain(problem)));
  }
}

function facts(view) {
  return [
    fact("details.dimensions", `${view.width} × ${view.height}`),
    fact("details.file", `${typeName(view.content_type)} · ${bytes(view.size)}`),
    fact("details.uploaded", date(view.uploaded_at)),
    view.source ? sourceFacts(view.source) : [],
  ].flat();
}

function sourceFacts({ ean, url, product_name, brand, licence, attribution }) {
  const link = url && h("a", { href: url, target: "_blank", rel: "noreferrer" }, new URL(url).host, icon("external"));
  return [
    fact("details.product", [product_name, brand].filter(Boolean).join(", ") || ean),
    ean && fact("details.ean", ean),
    link && fact("details.source", link),
    (attribution || licence) && fact("details.attribution", [attribution, licence].filter(Boolean).join(" · ")),
  ]
    .filter(Boolean)
    .flat();
}

const fact = (key, ...value) => [h("dt", {}, t(key)), h("dd", {}, ...value)];
