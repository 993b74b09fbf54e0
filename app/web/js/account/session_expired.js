/** Dialog that asks the user to sign in again after the session has expired. The page behind it keeps its state. */

import { openDialog } from "../ui/dialogs.js";
import { el } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { createSignInForm } from "./sign_in_form.js";

export function openSessionExpiredDialog(session, { onOtherAccount, onClose }) {
  const text = el("p", { class: "muted" }, translate("sessionExpired.text"));
  const form = createSignInForm(session, { fixedEmail: session.email });
  const otherAccount = el(
    "button",
    { type: "button", class: "text-button", onclick: onOtherAccount },
    translate("sessionExpired.otherAccount"),
  );
  const dialog = openDialog(translate("sessionExpired.title"), [text, form, otherAccount], { closable: false });
  for (const name of ["resumed", "signedOut"]) session.addEventListener(name, () => dialog.close(), { once: true });
  dialog.addEventListener("close", onClose);
  dialog.querySelector("[type=password]").focus();
  return dialog;
}
