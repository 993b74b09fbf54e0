/** Creates form fields with a label and a message below the input. */

import { el, uniqueId } from "./dom.js";

/** Returns {element, input, showMessage}. An empty message shows the hint. */
export function createField(label, attributes, { hint } = {}) {
  const id = uniqueId("field");
  const messageId = uniqueId("field-message");
  const input = el("input", { id, "aria-describedby": messageId, ...attributes });
  const message = el("p", { class: "field-message", id: messageId, "aria-live": "polite" }, hint ?? "");
  const element = el("div", { class: "field" }, el("label", { for: id }, label), input, message);
  const showMessage = (text, isError = true) => {
    message.textContent = text || hint || "";
    element.classList.toggle("invalid", Boolean(text) && isError);
    if (text && isError) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { element, input, showMessage };
}
