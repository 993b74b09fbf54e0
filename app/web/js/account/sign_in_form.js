/** The form that signs in or registers. */

import { busy, h } from "../parts/dom.js";
import { field } from "../parts/forms.js";
import { t } from "../parts/i18n.js";
import { explain } from "../problems.js";

const BESIDE_PASSWORD = ["password_weak", "credentials_invalid"];

/** `email` given: a session has ended, and only that account can go on with it. */
export function signInForm(session, { email = null, startsNew = false } = {}) {
  let isNew = startsNew;
  const address = field(t("account.email"), {
    type: "email",
    name: "username",
    autocomplete: "username",
    required: true,
    maxlength: 254,
    value: email ?? "",
    readonly: Boolean(email),
  });
  const password = field(t("account.password"), { type: "password", name: "password", required: true, maxlength: 128 });
  const submit = h("button", { class: "primary wide" });
  const swap = h("button", { type: "button", class: "quiet" });
  const question = h("p", { class: "muted swap" });
  const fault = h("p", { class: "fault", role: "alert" });
  const form = h(
    "form",
    { class: "sign-in" },
    address.element,
    password.element,
    fault,
    submit,
    email ? null : question,
  );

  const dress = () => {
    submit.textContent = t(isNew ? "account.register" : "account.signIn");
    swap.textContent = t(isNew ? "account.signInInstead" : "account.registerInstead");
    question.replaceChildren(t(isNew ? "account.haveOne" : "account.haveNone"), " ", swap);
    password.input.autocomplete = isNew ? "new-password" : "current-password";
    password.input.minLength = isNew ? 8 : 0;
    password.say(isNew ? t("account.passwordHint") : "", false);
    fault.textContent = "";
    form.dispatchEvent(new CustomEvent("swapped", { detail: isNew }));
  };
  swap.addEventListener("click", () => ((isNew = !isNew), dress(), address.input.focus()));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.textContent = "";
    for (const { say } of [address, password]) say("");
    try {
      const act = isNew ? "register" : "signIn";
      await busy(submit, () => session[act](address.input.value.trim(), password.input.value));
      form.dispatchEvent(new Event("done"));
    } catch (problem) {
      sayWhere(problem, { address, password, fault });
    }
  });
  dress();
  return form;
}

function sayWhere(problem, { address, password, fault }) {
  const words =
    problem.code === "too_many_attempts" && problem.retryAfter
      ? t("account.waitFor", { count: problem.retryAfter })
      : explain(problem);
  if (BESIDE_PASSWORD.includes(problem.code)) (password.say(words), password.input.select());
  else if (problem.code.startsWith("email_")) (address.say(words), address.input.select());
  else fault.textContent = words;
}
