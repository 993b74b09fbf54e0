/** Labelled fields whose faults are said beside them. */

import { h, uniqueId } from "./dom.js";

export function field(label, attributes, { hint } = {}) {
  const id = uniqueId("field");
  const notes = uniqueId("notes");
  const input = h("input", { id, "aria-describedby": notes, ...attributes });
  const note = h("p", { class: "note", id: notes, "aria-live": "polite" }, hint ?? "");
  const element = h("div", { class: "field" }, h("label", { for: id }, label), input, note);
  const say = (text, isFault = true) => {
    note.textContent = text || hint || "";
    element.classList.toggle("faulty", Boolean(text) && isFault);
    if (text && isFault) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { element, input, say };
}
