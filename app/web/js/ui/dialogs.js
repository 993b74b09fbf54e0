/** Opens modal dialogs with <dialog>, which keeps the focus inside, closes on Escape and restores the focus. */

import { el, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { translate } from "./i18n.js";

/** Opens a dialog that contains `content`. With `closable: false`, only the buttons in `content` can close it. */
export function openDialog(title, content, { closable = true, className = "sheet" } = {}) {
  const id = uniqueId("dialog");
  const close = el("button", { type: "button", class: "icon-button", "aria-label": translate("close") }, icon("cross"));
  const header = el("header", {}, el("h2", { id }, title), closable && close);
  const body = el("div", { class: "dialog-body" }, header, content);
  const dialog = el("dialog", { class: className, "aria-labelledby": id }, body);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("cancel", (event) => closable || event.preventDefault());
  dialog.addEventListener("click", (event) => closable && event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
