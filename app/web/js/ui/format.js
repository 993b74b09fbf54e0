/** Formats numbers and times in the language of the page. */

import { locale, translate } from "./i18n.js";

const UNITS = ["kilobyte", "megabyte", "gigabyte", "terabyte"];

export function formatBytes(bytes) {
  const power = Math.min(UNITS.length, Math.max(1, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes && Math.max(1, bytes / 1000 ** power);
  const digits = value < 10 && power > 1 ? 1 : 0;
  const options = { style: "unit", unit: UNITS[power - 1], unitDisplay: "short", maximumFractionDigits: digits };
  return new Intl.NumberFormat(locale, options).format(value);
}

const TYPE_NAMES = { "image/webp": "WebP" };
export const typeName = (contentType) => TYPE_NAMES[contentType] ?? contentType.split("/")[1].toUpperCase();
export const typeNames = ({ content_types: types }) => types.map(typeName).join(", ");

export const formatSpeed = (bytesPerSecond) => translate("format.speed", { size: formatBytes(bytesPerSecond) });

export function formatTimeLeft(seconds) {
  if (seconds < 5) return translate("format.nearlyDone");
  const inMinutes = seconds >= 90;
  const value = inMinutes ? Math.round(seconds / 60) : Math.ceil(seconds / 5) * 5;
  const unit = inMinutes ? "minute" : "second";
  const number = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
  return translate("format.timeLeft", { time: number.format(value) });
}

export const formatDateTime = (iso) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" }).format(new Date(iso));

export const formatDate = (iso) => new Intl.DateTimeFormat(locale, { dateStyle: "long" }).format(new Date(iso));

export const formatPercent = (fraction) =>
  new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(fraction);
