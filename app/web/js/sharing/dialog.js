/** Dialog that makes a link to images, and lists the links that the user has shared. */

import { openDialog } from "../ui/dialogs.js";
import { el } from "../ui/dom.js";
import { formatDate } from "../ui/format.js";
import { createField } from "../ui/forms.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { copyLink } from "./clipboard.js";
import { createShareForm } from "./form.js";
import { createShareList } from "./list.js";

const MAX_IMAGES = 500;

/** Opens the dialog for the images with these ids. Receivers see the images in the order of the ids. */
export function openShareDialog({ api, library }, ids) {
  const list = createShareList({ api, library });
  const submit = async (settings) => {
    const share = await api.post("shares", { image_ids: ids, ...settings });
    const result = createResult(share);
    form.replaceWith(result);
    result.querySelector("button").focus();
    list.add(share);
  };
  const form =
    ids.length > MAX_IMAGES
      ? el("p", { class: "form-error" }, translate("share.tooMany", { count: MAX_IMAGES }))
      : createShareForm({ submitLabel: translate("share.create"), onSubmit: submit });
  openDialog(translate("share.heading", { count: ids.length }), [form, list.element]);
}

function createResult(share) {
  const link = createField(translate("share.link"), { readonly: true, value: share.url }, { hint: describe(share) });
  link.input.addEventListener("focus", () => link.input.select());
  const copy = el(
    "button",
    { type: "button", class: "primary", onclick: () => copyLink(share.url, link.element) },
    icon("link"),
    translate("share.copy"),
  );
  return el("div", { class: "share-form" }, link.element, el("div", { class: "actions" }, copy));
}

/** Describes who can see the images, and until when. */
function describe({ has_password: hasPassword, expires_at: expiresAt, image_ids: ids }) {
  const who = hasPassword ? "share.forPassword" : "share.forAnyone";
  const date = expiresAt && formatDate(expiresAt);
  return translate(date ? `${who}Until` : who, { count: ids.length, date });
}
