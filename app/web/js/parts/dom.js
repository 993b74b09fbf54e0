/** Builds elements. Text is always text: nothing that a person typed or a file is called can become markup. */

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in DIRECT) element[DIRECT[name]] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

const DIRECT = { class: "className", value: "value", checked: "checked" };

/** The content security policy forbids style attributes; properties set one by one are allowed. */
export function style(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
  return element;
}

/** Hands the focus on to `heir` if what had it, `focused`, has been hidden with `element`. */
export function passFocus(focused, element, heir) {
  if (element.hidden && element.contains(focused)) heir.focus({ preventScroll: true });
}

/** A button that shows that its action is under way, and cannot be pressed twice meanwhile. */
export async function busy(button, action) {
  const hadFocus = document.activeElement === button;
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    return await action();
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

let lastId = 0;
export const uniqueId = (prefix) => `${prefix}-${++lastId}`;
