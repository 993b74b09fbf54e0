/** Numbers and times as people read them, in the language of the page. */

import { locale, t } from "./i18n.js";

const UNITS = ["kilobyte", "megabyte", "gigabyte", "terabyte"];

export function bytes(count) {
  const power = Math.min(UNITS.length, Math.max(1, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  const value = count && Math.max(1, count / 1000 ** power);
  const digits = value < 10 && power > 1 ? 1 : 0;
  const options = { style: "unit", unit: UNITS[power - 1], unitDisplay: "short", maximumFractionDigits: digits };
  return new Intl.NumberFormat(locale, options).format(value);
}

const NAMES = { "image/webp": "WebP" };
export const typeName = (contentType) => NAMES[contentType] ?? contentType.split("/")[1].toUpperCase();

export const speed = (bytesPerSecond) => t("format.speed", { size: bytes(bytesPerSecond) });

export function timeLeft(seconds) {
  if (seconds < 5) return t("format.nearlyDone");
  const inMinutes = seconds >= 90;
  const value = inMinutes ? Math.round(seconds / 60) : Math.ceil(seconds / 5) * 5;
  const unit = inMinutes ? "minute" : "second";
  const number = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
  return t("format.timeLeft", { time: number.format(value) });
}

export const date = (iso) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" }).format(new Date(iso));

export const clock = (iso) => new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(new Date(iso));

export const percent = (fraction) =>
  new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(fraction);
