/** Form for signing in and for creating an account. */

import { describeProblem } from "../problems.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { translate } from "../ui/i18n.js";

const PASSWORD_ERRORS = ["password_weak", "credentials_invalid"];

/**
 * Returns the form. With `fixedEmail`, the user can sign in to that account only. The form dispatches `modechange`
 * (detail: whether it creates an account) and `done`.
 */
export function createSignInForm(session, { fixedEmail = null, startWithRegistration = false } = {}) {
  let isRegistration = startWithRegistration;
  const email = createField(translate("account.email"), {
    type: "email",
    name: "username",
    autocomplete: "username",
    required: true,
    maxlength: 254,
    value: fixedEmail ?? "",
    readonly: Boolean(fixedEmail),
  });
  const passwordAttributes = { type: "password", name: "password", required: true, maxlength: 128 };
  const password = createField(translate("account.password"), passwordAttributes);
  const submit = el("button", { class: "primary full-width" });
  const modeButton = el("button", { type: "button", class: "text-button" });
  const modeSwitch = el("p", { class: "muted mode-switch" });
  const formError = el("p", { class: "form-error", role: "alert" });
  const children = [email.element, password.element, formError, submit, fixedEmail ? null : modeSwitch];
  const form = el("form", { class: "sign-in" }, ...children);

  const showMode = () => {
    submit.textContent = translate(isRegistration ? "account.register" : "account.signIn");
    modeButton.textContent = translate(isRegistration ? "account.signInInstead" : "account.registerInstead");
    const question = translate(isRegistration ? "account.haveAccount" : "account.noAccount");
    modeSwitch.replaceChildren(question, " ", modeButton);
    password.input.autocomplete = isRegistration ? "new-password" : "current-password";
    password.input.minLength = isRegistration ? 8 : 0;
    password.showMessage(isRegistration ? translate("account.passwordHint") : "", false);
    formError.textContent = "";
    form.dispatchEvent(new CustomEvent("modechange", { detail: isRegistration }));
  };
  modeButton.addEventListener("click", () => {
    isRegistration = !isRegistration;
    showMode();
    email.input.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    formError.textContent = "";
    for (const { showMessage } of [email, password]) showMessage("");
    try {
      const method = isRegistration ? "register" : "signIn";
      await whileBusy(submit, () => session[method](email.input.value.trim(), password.input.value));
      form.dispatchEvent(new Event("done"));
    } catch (problem) {
      showProblem(problem, { email, password, formError });
    }
  });
  showMode();
  return form;
}

/** Shows the problem below the field that caused it, or else below the form. */
function showProblem(problem, { email, password, formError }) {
  const message =
    problem.code === "too_many_attempts" && problem.retryAfter
      ? translate("account.waitFor", { count: problem.retryAfter })
      : describeProblem(problem);
  if (PASSWORD_ERRORS.includes(problem.code)) (password.showMessage(message), password.input.select());
  else if (problem.code.startsWith("email_")) (email.showMessage(message), email.input.select());
  else formError.textContent = message;
}
