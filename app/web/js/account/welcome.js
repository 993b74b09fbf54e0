/** Page for users who are not signed in. */

import { el } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { createSignInForm } from "./sign_in_form.js";

// Stored once a user has signed in with this browser, in which case the page starts with the sign-in form.
const HAS_ACCOUNT_KEY = "pictures.known";

/** With `resetToken`, the page asks for a new password. `onPasswordReset` receives a message for the user. */
export function createWelcomePage(session, { notice = null, canResetPassword, resetToken, onPasswordReset }) {
  const startWithRegistration = !localStorage.getItem(HAS_ACCOUNT_KEY);
  const title = el("h2", {});
  const form = createSignInForm(session, { startWithRegistration });
  const showTitle = (isRegistration) =>
    (title.textContent = translate(isRegistration ? "welcome.registerTitle" : "welcome.signInTitle"));
  form.addEventListener("modechange", ({ detail }) => showTitle(detail));
  form.addEventListener("done", () => localStorage.setItem(HAS_ACCOUNT_KEY, "yes"));
  showTitle(startWithRegistration);
  const showInstead = async (titleKey, create) => {
    const forms = await import("./password_reset.js");
    title.textContent = translate(titleKey);
    form.replaceWith(create(forms));
    forgotten.remove();
  };
  const forgotten = el("button", { type: "button", class: "text-button" }, translate("reset.forgotten"));
  forgotten.addEventListener("click", () => showInstead("reset.title", (forms) => forms.createResetRequest()));
  if (resetToken) {
    const create = (forms) => forms.createNewPasswordForm(resetToken, { onDone: onPasswordReset });
    showInstead("reset.title", create);
  }
  const tiles = Array.from({ length: 7 }, () => el("span"));
  const features = ["private", "fast", "unchanged"].map((feature) =>
    el("li", {}, icon("check"), translate(`welcome.${feature}`)),
  );
  return el(
    "div",
    { class: "welcome" },
    el(
      "section",
      { class: "intro" },
      el("div", { class: "mosaic", "aria-hidden": "true" }, tiles),
      el("h1", {}, translate("welcome.headline")),
      el("ul", { class: "features" }, features),
    ),
    el(
      "section",
      { class: "card" },
      notice && el("p", { class: "notice", role: "status" }, notice),
      title,
      form,
      canResetPassword && forgotten,
    ),
  );
}
