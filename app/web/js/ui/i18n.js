/**
 * Translates the messages of the page. Each language is one file in `messages/` and is listed in LANGUAGES. The page
 * shows a message in English if the language does not have it. Dialogs load their own messages, in `messages/<topic>/`.
 */

import english from "../../messages/en.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };

const KEY = "pictures.language";
let messages = english;
const topics = new Set();
let plurals = new Intl.PluralRules("en");
export let language = "en";
/** The user's regional variant of the language, such as `de-AT`, for dates and numbers. */
export let locale = "en";

export function preferredLanguage() {
  const preferred = [localStorage.getItem(KEY), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return preferred.find((tag) => tag in LANGUAGES) ?? "en";
}

export async function loadLanguage(code) {
  messages = code === "en" ? english : { ...english, ...(await import(`../../messages/${code}.js`)).default };
  language = code;
  locale = navigator.languages.find((tag) => tag.startsWith(code)) ?? code;
  plurals = new Intl.PluralRules(code);
  document.documentElement.lang = code;
  await Promise.all([...topics].map(loadTopic));
}

/** Adds the messages in `messages/<topic>/`, which the first view does not need. */
export async function loadTopic(topic) {
  topics.add(topic);
  const { default: added } = await import(`../../messages/${topic}/${language}.js`);
  messages = { ...messages, ...added };
}

export function rememberLanguage(code) {
  localStorage.setItem(KEY, code);
}

export const hasMessage = (key) => key in messages;

/** Returns the message `key` with its {placeholders} replaced; `values.count` selects the plural form. */
export function translate(key, values = {}) {
  const message = messages[key] ?? key;
  const text = typeof message === "string" ? message : (message[plurals.select(values.count)] ?? message.other);
  return text.replaceAll(/\{(\w+)\}/g, (placeholder, name) => (name in values ? format(values[name]) : placeholder));
}

const format = (value) => (typeof value === "number" ? value.toLocaleString(locale) : value);
