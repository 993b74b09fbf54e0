/** What somebody sees who is not signed in. */

import { h } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { signInForm } from "./sign_in_form.js";

export function welcome(session, { farewell = null } = {}) {
  const title = h("h2", {});
  const form = signInForm(session, { startsNew: !localStorage.getItem("pictures.known") });
  const dress = (isNew) => (title.textContent = t(isNew ? "welcome.newTitle" : "welcome.title"));
  form.addEventListener("swapped", ({ detail }) => dress(detail));
  form.addEventListener("done", () => localStorage.setItem("pictures.known", "yes"));
  dress(!localStorage.getItem("pictures.known"));
  return h(
    "div",
    { class: "welcome" },
    h(
      "section",
      { class: "pitch" },
      h(
        "div",
        { class: "mosaic", "aria-hidden": "true" },
        Array.from({ length: 7 }, () => h("span")),
      ),
      h("h1", {}, t("welcome.headline")),
      h(
        "ul",
        { class: "points" },
        ["private", "quick", "safe"].map((point) => h("li", {}, icon("check"), t(`welcome.${point}`))),
      ),
    ),
    h("section", { class: "card" }, farewell && h("p", { class: "farewell", role: "status" }, farewell), title, form),
  );
}
