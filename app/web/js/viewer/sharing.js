/** Getting an image out of the page: its link, its file. */

/** Copies `text`; `host` is an element that may hold the focus for a moment. */
export async function copyText(text, host) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain http the clipboard is out of reach, except for what is selected.
  const area = document.createElement("textarea");
  area.value = text;
  host.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * Saves the original under its name. The route that knows the name wants the token, which a link cannot send: so one
 * byte of it is fetched, and where that fetch was redirected to is a link that works without.
 */
export async function download(api, view) {
  const response = await api.fetch(`images/${view.id}/file`, { headers: { Range: "bytes=0-0" } });
  await response.body?.cancel();
  const link = document.createElement("a");
  link.href = response.url;
  link.download = view.filename;
  link.click();
}
