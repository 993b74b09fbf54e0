/** Creates and changes elements. Text is always inserted as text, so that no user input can become markup. */

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in PROPERTIES) element[PROPERTIES[name]] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

const PROPERTIES = { class: "className", value: "value", checked: "checked" };

/** Sets style properties one by one, because the content security policy forbids style attributes. */
export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
  return element;
}

/** Focuses `successor` if `focused`, which had the focus, was inside `element` and is now hidden with it. */
export function moveFocusIfHidden(focused, element, successor) {
  if (element.hidden && element.contains(focused)) successor.focus({ preventScroll: true });
}

/** Runs `action`; meanwhile the button is disabled and shows a progress indicator. */
export async function whileBusy(button, action) {
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
