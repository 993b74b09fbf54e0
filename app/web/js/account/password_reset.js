/** Forms to request a link by email, and to choose a new password with the token of such a link. */

import { postJson } from "../session.js";
import { describeProblem } from "../problems.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { translate } from "../ui/i18n.js";

export function createResetRequest() {
  const email = createField(translate("account.email"), { type: "email", autocomplete: "username", required: true });
  return createForm(email, translate("reset.request"), async () => {
    await postJson("api/v1/auth/password-reset", { email: email.input.value.trim() });
    return translate("reset.requested");
  });
}

/** Calls `onDone` with a message for the user. */
export function createNewPasswordForm(token, { onDone }) {
  const attributes = { type: "password", autocomplete: "new-password", required: true, minlength: 8, maxlength: 128 };
  const password = createField(translate("account.newPassword"), attributes, { hint: translate("account.passwordHint") });
  return createForm(password, translate("account.changePassword"), async () => {
    await postJson("api/v1/auth/password-reset/confirm", { token, password: password.input.value });
    onDone(translate("account.passwordChanged"));
    return "";
  });
}

/** `submit` returns a message that is shown below the form. */
function createForm(field, label, submit) {
  const button = el("button", { class: "primary full-width" }, label);
  const message = el("p", { class: "muted", role: "status" });
  const form = el("form", { class: "sign-in" }, field.element, message, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    field.showMessage("");
    try {
      message.textContent = await whileBusy(button, submit);
    } catch (problem) {
      field.showMessage(describeProblem(problem));
    }
  });
  return form;
}
