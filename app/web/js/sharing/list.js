/** The links that the user has shared, newest first: each can be copied, changed and revoked. */

import { describeProblem } from "../problems.js";
import { el, whileBusy } from "../ui/dom.js";
import { loadTopic, translate } from "../ui/i18n.js";
import { loadStylesheet } from "../ui/stylesheets.js";
import { createShareItem } from "./item.js";

const PAGE_SIZE = 10;

/** Returns {element, add}: a section that loads the shares when the user opens it. `add(share)` puts a new share first. */
export function createShareList({ api, library }) {
  const list = el("ul", { class: "share-list" });
  const empty = el("p", { class: "muted", hidden: true });
  const error = el("p", { class: "form-error", role: "alert" });
  const more = el("button", { type: "button", hidden: true });
  const summary = el("summary", {}, translate("shares.title"));
  const element = el("details", { class: "account-section" }, summary, list, empty, error, more);
  let isRequested = false;
  let cursor = null;

  const update = () => (empty.hidden = list.children.length > 0 || Boolean(error.textContent));
  const onRevoked = () => {
    summary.focus();
    update();
  };
  const createItem = (share) => createShareItem({ api, library }, share, { onRevoked });
  const loadPage = async () => {
    error.textContent = "";
    try {
      await Promise.all([loadTopic("sharing"), loadStylesheet("sharing")]); // for the account dialog
      const query = new URLSearchParams(cursor ? { limit: PAGE_SIZE, cursor } : { limit: PAGE_SIZE });
      const page = await api.get(`shares?${query}`);
      if (!cursor) list.replaceChildren();
      list.append(...page.items.map(createItem));
      cursor = page.next_cursor;
      empty.textContent = translate("shares.empty");
      more.textContent = translate("shares.more");
      more.hidden = cursor === null;
    } catch (problem) {
      error.textContent = describeProblem(problem);
      more.textContent = translate("retry");
      more.hidden = false;
    }
    update();
  };
  more.addEventListener("click", () => whileBusy(more, loadPage));
  element.addEventListener("toggle", () => {
    if (!element.open || isRequested) return;
    isRequested = true;
    loadPage();
  });
  const add = (share) => {
    if (!isRequested) return; // The section loads its shares when it is opened.
    list.prepend(createItem(share));
    update();
  };
  return { element, add };
}
