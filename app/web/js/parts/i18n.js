/** The words of the page. A language is one file in `messages/`, named here; what it lacks is said in English. */

import english from "../../messages/en.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };

const KEY = "pictures.language";
let messages = english;
let plurals = new Intl.PluralRules("en");
export let language = "en";
/** The same language as this person's own country writes it: for dates and numbers. */
export let locale = "en";

export function preferredLanguage() {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in LANGUAGES) ?? "en";
}

export async function useLanguage(code) {
  messages = code === "en" ? english : { ...english, ...(await import(`../../messages/${code}.js`)).default };
  language = code;
  locale = navigator.languages.find((tag) => tag.startsWith(code)) ?? code;
  plurals = new Intl.PluralRules(code);
  document.documentElement.lang = code;
}

export function rememberLanguage(code) {
  localStorage.setItem(KEY, code);
}

export const has = (key) => key in messages;

/** The message `key` with its {places} filled; of one that depends on a number, the form that fits `values.count`. */
export function t(key, values = {}) {
  const message = messages[key] ?? key;
  const text = typeof message === "string" ? message : (message[plurals.select(values.count)] ?? message.other);
  return text.replaceAll(/\{(\w+)\}/g, (place, name) => (name in values ? shown(values[name]) : place));
}

const shown = (value) => (typeof value === "number" ? value.toLocaleString(locale) : value);
