/** Form with the settings of a share: title, expiry, password and download. */

import { describeProblem } from "../problems.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { hasMessage, translate } from "../ui/i18n.js";
import { createExpiryFields } from "./expiry.js";
import { createSelect } from "./select.js";

const DOWNLOADS = ["none", "rendition"];
const MIN_PASSWORD_LENGTH = 4;

/**
 * Returns the form. Without `share`, it is for a new one. `onSubmit(changes)` receives the fields of the API that the user
 * has set or changed. The form shows the problem that it throws. `onCancel` adds a button.
 */
export function createShareForm({ share = null, submitLabel, onSubmit, onCancel }) {
  const title = createTitleField(share);
  const expiry = createExpiryFields(share);
  const password = createPasswordFields(share);
  const download = createDownloadField(share);
  const error = el("p", { class: "form-error", role: "alert" });
  const submit = el("button", { class: "primary" }, submitLabel);
  const cancel = onCancel && el("button", { type: "button", onclick: onCancel }, translate("share.cancel"));
  const actions = el("div", { class: "actions" }, submit, cancel);
  const parts = [title, expiry, password, download];
  const form = el("form", { class: "share-form" }, ...parts.map(({ element }) => element), error, actions);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      await whileBusy(submit, () => onSubmit(Object.assign({}, ...parts.map(({ changes }) => changes()))));
    } catch (problem) {
      error.textContent = describeProblem(problem);
    }
  });
  return form;
}

function createTitleField(share) {
  const before = share?.title ?? "";
  const attributes = { maxlength: 200, autocomplete: "off", value: before };
  const { element, input } = createField(translate("share.name"), attributes, { hint: translate("share.nameHint") });
  const changes = () => (input.value.trim() === before ? {} : { title: input.value.trim() || null });
  return { element, changes };
}

/** The password is visible while it is typed, because the user has to tell it to the receivers. */
function createPasswordFields(share) {
  const hasPassword = Boolean(share?.has_password);
  const { element: field, input } = createField(
    translate(hasPassword ? "share.newPassword" : "share.password"),
    { minlength: MIN_PASSWORD_LENGTH, maxlength: 128, autocomplete: "off", autocapitalize: "off", spellcheck: "false" },
    { hint: translate(hasPassword ? "share.newPasswordHint" : "share.passwordHint", { count: MIN_PASSWORD_LENGTH }) },
  );
  if (!hasPassword) return { element: field, changes: () => (input.value ? { password: input.value } : {}) };
  const remove = el("input", { type: "checkbox", onchange: () => (input.disabled = remove.checked) });
  const label = el("label", { class: "share-check" }, remove, translate("share.removePassword"));
  const changes = () => (remove.checked ? { password: null } : input.value ? { password: input.value } : {});
  return { element: el("div", { class: "share-password" }, field, label), changes };
}

function createDownloadField(share) {
  const before = share?.download ?? "none";
  // A share made by another client may have a value that this form does not offer.
  const values = [...new Set([...DOWNLOADS, before])];
  const options = values.map((value) => [value, describeDownload(value)]);
  const { element, select } = createSelect(translate("share.download"), options, before, {
    hint: translate("share.downloadHint"),
  });
  return { element, changes: () => (select.value === before ? {} : { download: select.value }) };
}

const describeDownload = (value) =>
  hasMessage(`share.download.${value}`) ? translate(`share.download.${value}`) : value;
