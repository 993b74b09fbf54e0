/** Form fields for the time at which a share expires. */

import { el } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { translate } from "../ui/i18n.js";
import { createSelect } from "./select.js";

const DAYS = [1, 7, 30];
const DEFAULT_DAYS = 30;
const DAY_MS = 24 * 3600 * 1000;

/** Returns {element, changes}. `changes()` returns `expires_at` in an object, or {} if the user has not changed it. */
export function createExpiryFields(share) {
  const options = [
    ...DAYS.map((count) => [String(count), translate("share.expiry.days", { count })]),
    ["never", translate("share.expiry.never")],
    ["date", translate("share.expiry.date")],
  ];
  const initial = describeInitial(share);
  const { element: choice, select } = createSelect(translate("share.expiry"), options, initial.choice);
  const date = createField(
    translate("share.expiry.lastDay"),
    { type: "date", value: initial.date, min: localDate(Date.now()) },
    { hint: translate("share.expiry.lastDayHint") },
  );
  const update = () => {
    date.element.hidden = select.value !== "date";
    date.input.disabled = date.element.hidden; // The browser does not validate disabled fields.
    date.input.required = !date.element.hidden;
  };
  select.addEventListener("change", update);
  update();
  const changes = () => {
    const isUnchanged = share && select.value === initial.choice && date.input.value === initial.date;
    return isUnchanged ? {} : { expires_at: expiresAt(select.value, date.input.value) };
  };
  return { element: el("div", { class: "share-expiry" }, choice, date.element), changes };
}

function describeInitial(share) {
  if (!share) return { choice: String(DEFAULT_DAYS), date: localDate(Date.now() + DEFAULT_DAYS * DAY_MS) };
  if (!share.expires_at) return { choice: "never", date: "" };
  return { choice: "date", date: localDate(Date.parse(share.expires_at)) };
}

function expiresAt(choice, date) {
  if (choice === "never") return null;
  // A date without a time zone is in the time zone of the browser.
  const time = choice === "date" ? new Date(`${date}T23:59:59`) : new Date(Date.now() + Number(choice) * DAY_MS);
  return time.toISOString();
}

/** Returns the date in the time zone of the browser, as the value of a date field. */
function localDate(milliseconds) {
  const time = new Date(milliseconds);
  return new Date(milliseconds - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}
