/** Says that the session has ended, over everything that was being done, so that all of it goes on after signing in. */

import { h } from "../parts/dom.js";
import { openDialog } from "../parts/dialogs.js";
import { t } from "../parts/i18n.js";
import { signInForm } from "./sign_in_form.js";

export function askToSignInAgain(session, { onOther, onClose }) {
  const form = signInForm(session, { email: session.email });
  const other = h("button", { type: "button", class: "quiet", onclick: onOther }, t("ended.other"));
  const dialog = openDialog(t("ended.title"), [h("p", { class: "muted" }, t("ended.text")), form, other], {
    closable: false,
  });
  for (const name of ["resumed", "left"]) session.addEventListener(name, () => dialog.close(), { once: true });
  dialog.addEventListener("close", onClose);
  dialog.querySelector("[type=password]").focus();
  return dialog;
}
