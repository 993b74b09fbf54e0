/** Creates select boxes with a label. */

import { el, uniqueId } from "../ui/dom.js";

/** Returns {element, select}: a label and a select box with `options`, pairs of a value and a text. */
export function createSelect(label, options, selected) {
  const id = uniqueId("field");
  const select = el("select", { id }, ...options.map(([value, text]) => el("option", { value }, text)));
  select.value = selected;
  return { element: el("div", { class: "field" }, el("label", { for: id }, label), select), select };
}
