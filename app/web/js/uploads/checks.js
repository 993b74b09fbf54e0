/** What can be said about a file before it is sent. The service judges the content; this spares people the wait. */

import { bytes, typeName } from "../parts/format.js";
import { t } from "../parts/i18n.js";

/** Returns why `file` would be refused, in words, or null. */
export function refusal(file, config) {
  const limit = Math.max(config.max_file_size, config.max_direct_file_size);
  if (file.size === 0) return t("refused.empty");
  if (!isImage(file, config)) return t("refused.type", { types: typeNames(config) });
  if (file.size > limit) return t("refused.size", { size: bytes(file.size), limit: bytes(limit) });
  return null;
}

function isImage(file, { extensions, content_types: contentTypes }) {
  const extension = file.name.split(".").at(-1).toLowerCase();
  return extensions.includes(extension) || contentTypes.includes(file.type);
}

export const typeNames = ({ content_types: types }) => types.map(typeName).join(", ");

/** What a file chooser should offer. */
export const acceptable = ({ extensions, content_types: types }) =>
  [...types, ...extensions.map((e) => `.${e}`)].join();
