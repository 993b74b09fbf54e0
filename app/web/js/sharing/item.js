/** One share in the list of shares. */

import { describeProblem } from "../problems.js";
import { el, uniqueId, whileBusy } from "../ui/dom.js";
import { formatDate } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { translate } from "../ui/i18n.js";
import { copyLink } from "./clipboard.js";
import { createShareForm } from "./form.js";

/** Returns a list item. Calls `onRevoked` after it has removed the item. */
export function createShareItem(services, share, { onRevoked }) {
  const element = el("li", { class: "share" });
  const name = uniqueId("share");
  const button = (label, onclick, className = "text-button") => {
    const attributes = { type: "button", class: className, "aria-describedby": name, onclick };
    return el("button", attributes, translate(label));
  };
  const show = (...content) => element.replaceChildren(createSummary(services, share, name), ...content);

  const showActions = () => {
    const actions = el(
      "div",
      { class: "share-actions" },
      button("share.copy", () => copyLink(share.url, element)),
      button("share.edit", showForm),
      button("share.revoke", showQuestion),
    );
    show(actions);
    return actions;
  };
  const returnToActions = (index) => showActions().children[index].focus();
  const showForm = () => {
    const onSubmit = async (changes) => {
      share = Object.keys(changes).length ? await services.api.patch(`shares/${share.id}`, changes) : share;
      returnToActions(1);
    };
    const form = createShareForm({
      share,
      submitLabel: translate("share.save"),
      onSubmit,
      onCancel: () => returnToActions(1),
    });
    show(form);
    form.querySelector("input").focus();
  };
  const showQuestion = () => {
    const error = el("p", { class: "form-error", role: "alert" });
    const revoke = button("share.revoke", () => whileBusy(revoke, () => tryToRevoke(error)), "danger");
    const keep = button("share.keep", () => returnToActions(2), "");
    show(el("p", {}, translate("share.revokeQuestion")), error, el("div", { class: "actions" }, revoke, keep));
    keep.focus();
  };
  const tryToRevoke = async (error) => {
    try {
      await services.api.delete(`shares/${share.id}`);
    } catch (problem) {
      // Another client may have revoked the share already.
      if (problem.code !== "share_missing") return (error.textContent = describeProblem(problem));
    }
    element.remove();
    onRevoked();
  };
  showActions();
  return element;
}

function createSummary({ api, library }, share, id) {
  const count = translate("usage.images", { count: share.image_ids.length });
  const properties = [
    share.title && count,
    describeExpiry(share.expires_at),
    share.has_password && translate("share.hasPassword"),
    share.download !== "none" && translate("share.hasDownload"),
  ];
  const image = el("div", { class: "share-image" }, icon("link"));
  showThumbnail(image, { api, library }, share.image_ids[0]);
  const name = el("p", { class: "share-name", id }, share.title ?? count);
  const details = el("p", { class: "muted small" }, properties.filter(Boolean).join(" · "));
  return el("div", { class: "share-summary" }, image, el("div", {}, name, details));
}

function describeExpiry(expiresAt) {
  if (!expiresAt) return translate("share.noExpiry");
  const hasExpired = Date.parse(expiresAt) < Date.now();
  return translate(hasExpired ? "share.expired" : "share.expires", { date: formatDate(expiresAt) });
}

/** Shows the thumbnail of the image in `element`, if the image still exists. */
async function showThumbnail(element, { api, library }, imageId) {
  if (!imageId) return; // All images of the share were deleted.
  const view = library.find(imageId) ?? (await api.get(`images/${imageId}`).catch(() => null));
  if (!view?.thumbnail_url) return;
  const image = el("img", { alt: "", src: view.thumbnail_url, onload: () => element.replaceChildren(image) });
}
