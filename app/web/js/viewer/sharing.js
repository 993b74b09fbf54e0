/** Makes and copies links of images, and downloads originals. */

const SHARED_DAYS = 30;

/** Makes a link that shows the images, without their position and other metadata. Returns the share. */
export function shareImages(api, ids) {
  const expiresAt = new Date(Date.now() + SHARED_DAYS * 24 * 3600 * 1000);
  return api.post("shares", { image_ids: ids, expires_at: expiresAt.toISOString() });
}

/** Copies `text` to the clipboard. `parent` is an element in which a temporary text area can have the focus. */
export async function copyText(text, parent) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Pages loaded over plain HTTP have no clipboard API and can copy only a selection.
  const area = document.createElement("textarea");
  area.value = text;
  parent.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * Downloads the original under its current name. The route that returns this name requires the access token, which a
 * link cannot send. This therefore requests one byte and uses the URL of the redirect, which requires no token.
 */
export async function downloadOriginal(api, view) {
  const response = await api.fetch(`images/${view.id}/file`, { headers: { Range: "bytes=0-0" } });
  await response.body?.cancel();
  const link = document.createElement("a");
  link.href = response.url;
  link.download = view.filename;
  link.click();
}
