/** Checks files before they are uploaded, so that users need not wait for the service to reject them. */

import { formatBytes, typeNames } from "../ui/format.js";
import { translate } from "../ui/i18n.js";

/** Returns a message that states why the service would reject `file`, or null. */
export function rejectionReason(file, config) {
  const limit = Math.max(config.max_file_size, config.max_direct_file_size);
  if (file.size === 0) return translate("rejected.empty");
  if (!isImage(file, config)) return translate("rejected.type", { types: typeNames(config) });
  if (file.size > limit) {
    return translate("rejected.size", { size: formatBytes(file.size), limit: formatBytes(limit) });
  }
  return null;
}

function isImage(file, { extensions, content_types: contentTypes }) {
  const extension = file.name.split(".").at(-1).toLowerCase();
  return extensions.includes(extension) || contentTypes.includes(file.type);
}
