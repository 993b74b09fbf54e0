/** The account: what it uses, how the page looks and speaks, taking everything along, and leaving. */

import { busy, h } from "../parts/dom.js";
import { openDialog } from "../parts/dialogs.js";
import { field } from "../parts/forms.js";
import { icon } from "../parts/icons.js";
import { LANGUAGES, language, t } from "../parts/i18n.js";
import { explain } from "../problems.js";
import { followJob } from "../jobs.js";
import { usageWords, usedFraction } from "../gallery/page.js";

const THEMES = ["auto", "light", "dark"];

export function openAccount({ app, api, session, usage }) {
  const chosen = document.documentElement.dataset.theme ?? "auto";
  const content = [
    h("p", { class: "account-name" }, icon("person"), session.email),
    usage && usageBlock(usage),
    choice(
      t("account.theme"),
      Object.fromEntries(THEMES.map((theme) => [theme, t(`theme.${theme}`)])),
      chosen,
      chooseTheme,
    ),
    choice(t("account.language"), LANGUAGES, language, (code) => (dialog.close(), app.speak(code))),
    exportBlock(api),
    deleteBlock(api, session, { onGone: (words) => (dialog.close(), app.leave(words)) }),
    h("button", { type: "button", class: "wide", onclick: () => (dialog.close(), app.leave()) }, t("account.signOut")),
  ];
  const dialog = openDialog(t("account.title"), content.filter(Boolean), { kind: "sheet account" });
}

function usageBlock(usage) {
  const fraction = usedFraction(usage);
  const meter = fraction !== null && h("meter", { class: "quota", value: fraction, "aria-label": t("usage.label") });
  return h("div", { class: "block" }, h("h3", {}, t("usage.label")), h("p", {}, usageWords(usage)), meter);
}

function choice(label, options, chosen, onChoose) {
  const buttons = Object.entries(options).map(([value, words]) => {
    const input = h("input", {
      type: "radio",
      name: label,
      value,
      checked: value === chosen,
      onchange: () => onChoose(value),
    });
    return h("label", {}, input, h("span", {}, words));
  });
  return h("fieldset", { class: "choice" }, h("legend", {}, label), ...buttons);
}

function chooseTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") {
    delete root.dataset.theme;
    localStorage.removeItem("pictures.theme");
  } else {
    root.dataset.theme = theme;
    localStorage.setItem("pictures.theme", theme);
  }
}

function exportBlock(api) {
  const words = h("p", { class: "muted", role: "status" }, t("export.text"));
  const button = h("button", { type: "button" }, icon("download"), t("export.start"));
  const meter = h("progress", { class: "meter", max: 100, hidden: true, "aria-label": t("export.title") });
  button.addEventListener("click", () =>
    busy(button, async () => {
      meter.hidden = false;
      try {
        words.textContent = await exportAll(api, (progress) => (meter.value = progress));
      } catch (problem) {
        words.textContent = explain(problem);
      }
      meter.hidden = true;
    }),
  );
  return h("div", { class: "block" }, h("h3", {}, t("export.title")), words, meter, button);
}

async function exportAll(api, onProgress) {
  const job = await api.get("auth/me/export");
  const { status, error, result } = await followJob(api, job, { onChange: ({ progress }) => onProgress(progress) });
  if (status === "failed") return explain(error);
  const link = h("a", { href: result.url, download: "" });
  link.click();
  return t("export.ready");
}

function deleteBlock(api, session, { onGone }) {
  const typed = field(t("leave.confirm", { email: session.email }), {
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
  const button = h("button", { class: "danger", disabled: true }, icon("trash"), t("leave.do"));
  typed.input.addEventListener("input", () => (button.disabled = typed.input.value.trim() !== session.email));
  const form = h("form", {}, h("p", { class: "muted" }, t("leave.text")), typed.element, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await busy(button, () => api.delete("auth/me"));
      onGone(t("leave.done"));
    } catch (problem) {
      typed.say(explain(problem));
    }
  });
  return h("details", { class: "block" }, h("summary", {}, t("leave.title")), form);
}
