/** Creates select boxes with a label. */

import { el, uniqueId } from "../ui/dom.js";

/** Returns {element, select}: a label, a select box with `options`, pairs of a value and a text, and a hint below it. */
export function createSelect(label, options, selected, { hint } = {}) {
  const id = uniqueId("field");
  const hintId = uniqueId("field-message");
  const attributes = { id, "aria-describedby": hint && hintId };
  const message = hint && el("p", { class: "field-message", id: hintId }, hint);
  const select = el("select", attributes, ...options.map(([value, text]) => el("option", { value }, text)));
  select.value = selected;
  return { element: el("div", { class: "field" }, el("label", { for: id }, label), select, message), select };
}
