/** Account dialog: storage usage, appearance and language, shared links, data export, sign-out and account deletion. */

import { describeUsage, usedFraction } from "../gallery/page.js";
import { watchJob } from "../jobs.js";
import { describeProblem } from "../problems.js";
import { createShareList } from "../sharing/list.js";
import { openDialog } from "../ui/dialogs.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { icon } from "../ui/icons.js";
import { LANGUAGES, language, translate } from "../ui/i18n.js";
import { createPasswordSection, createSessionsSection } from "./security.js";

const THEMES = ["auto", "light", "dark"];

export function openAccountDialog({ app, api, session, library, usage }) {
  const closeAnd = (action) => (value) => (dialog.close(), action(value));
  const theme = document.documentElement.dataset.theme ?? "auto";
  const themeNames = Object.fromEntries(THEMES.map((name) => [name, translate(`theme.${name}`)]));
  const signOut = closeAnd(() => app.signOut());
  const content = [
    el("p", { class: "account-name" }, icon("person"), session.email),
    usage && createUsageSection(usage),
    createRadioGroup(translate("account.theme"), themeNames, theme, applyTheme),
    createRadioGroup(
      translate("account.language"),
      LANGUAGES,
      language,
      closeAnd((code) => app.changeLanguage(code)),
    ),
    createShareList({ api, library }).element,
    createExportSection(api),
    app.config.has_local_accounts && createPasswordSection(api),
    app.config.has_local_accounts && createSessionsSection(api),
    createDeletionSection(app, api, session, { onDeleted: closeAnd((notice) => app.signOut(notice)) }),
    el("button", { type: "button", class: "full-width", onclick: signOut }, translate("account.signOut")),
  ];
  const dialog = openDialog(translate("account.title"), content.filter(Boolean), { className: "sheet account" });
}

function createUsageSection(usage) {
  const fraction = usedFraction(usage);
  const attributes = { class: "usage-meter", value: fraction, "aria-label": translate("usage.label") };
  return el(
    "div",
    { class: "account-section" },
    el("h3", {}, translate("usage.label")),
    el("p", {}, describeUsage(usage)),
    fraction !== null && el("meter", attributes),
  );
}

function createRadioGroup(label, options, selected, onSelect) {
  const choices = Object.entries(options).map(([value, text]) => {
    const input = el("input", {
      type: "radio",
      name: label,
      value,
      checked: value === selected,
      onchange: () => onSelect(value),
    });
    return el("label", {}, input, el("span", {}, text));
  });
  return el("fieldset", { class: "radio-group" }, el("legend", {}, label), ...choices);
}

function applyTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") {
    delete root.dataset.theme;
    localStorage.removeItem("pictures.theme");
  } else {
    root.dataset.theme = theme;
    localStorage.setItem("pictures.theme", theme);
  }
}

function createExportSection(api) {
  const status = el("p", { class: "muted", role: "status" }, translate("export.text"));
  const button = el("button", { type: "button" }, icon("download"), translate("export.start"));
  const meter = el("progress", { class: "meter", max: 100, hidden: true, "aria-label": translate("export.title") });
  button.addEventListener("click", () =>
    whileBusy(button, async () => {
      meter.hidden = false;
      try {
        status.textContent = await exportData(api, (progress) => (meter.value = progress));
      } catch (problem) {
        status.textContent = describeProblem(problem);
      }
      meter.hidden = true;
    }),
  );
  return el("div", { class: "account-section" }, el("h3", {}, translate("export.title")), status, meter, button);
}

/** Creates and downloads an export. Returns a message for the user. */
async function exportData(api, onProgress) {
  const job = await api.post("auth/me/export");
  const { status, error, result } = await watchJob(api, job, { onChange: ({ progress }) => onProgress(progress) });
  if (status === "failed") return describeProblem(error);
  const link = el("a", { href: result.url, download: "" });
  link.click();
  return translate("export.ready");
}

/** The password confirms the deletion of an account that the service itself stores, and the address that of any other. */
function createDeletionSection(app, api, session, { onDeleted }) {
  const isLocal = app.config.has_local_accounts;
  const confirmation = isLocal
    ? createField(translate("deleteAccount.password"), { type: "password", autocomplete: "current-password" })
    : createField(translate("deleteAccount.confirm", { email: session.email }), {
        autocomplete: "off",
        autocapitalize: "off",
        spellcheck: "false",
      });
  const { element, input, showMessage } = confirmation;
  const button = el("button", { class: "danger", disabled: true }, icon("trash"), translate("deleteAccount.submit"));
  input.addEventListener("input", () => (button.disabled = isLocal ? !input.value : input.value.trim() !== session.email));
  const form = el("form", {}, el("p", { class: "muted" }, translate("deleteAccount.text")), element, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await whileBusy(button, () => api.delete("auth/me", isLocal ? { password: input.value } : undefined));
      onDeleted(translate("deleteAccount.done"));
    } catch (problem) {
      showMessage(describeProblem(problem));
    }
  });
  return el("details", { class: "account-section" }, el("summary", {}, translate("deleteAccount.title")), form);
}
