/** Dialogs on the browser's own <dialog>: it keeps the focus inside, closes on Escape, and gives the focus back. */

import { h, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";

/** Opens a dialog around `content`; `closable: false` leaves no way past it but its own buttons. */
export function openDialog(title, content, { closable = true, kind = "sheet" } = {}) {
  const id = uniqueId("dialog");
  const close = h("button", { type: "button", class: "round", "aria-label": t("close") }, icon("cross"));
  const head = h("header", {}, h("h2", { id }, title), closable && close);
  const dialog = h("dialog", { class: kind, "aria-labelledby": id }, h("div", { class: "dialog-body" }, head, content));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("cancel", (event) => closable || event.preventDefault());
  dialog.addEventListener("click", (event) => closable && event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
