/** Downloads originals. */

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
