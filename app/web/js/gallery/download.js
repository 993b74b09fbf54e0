/** Downloads selected images: one as its original, several as a ZIP file that a job of the service makes. */

import { newIdempotencyKey } from "../api.js";
import { watchJob } from "../jobs.js";
import { describeProblem } from "../problems.js";
import { el } from "../ui/dom.js";
import { translate } from "../ui/i18n.js";
import { showToast } from "../ui/toasts.js";
import { downloadOriginal } from "../viewer/download.js";
import { selectedPages } from "./selected_pages.js";

const MAX_IMAGES = 500;
const UNTIL_DISMISSED_SECONDS = 1_000_000;

/** `ids` are the selected images if they are known, otherwise null. Throws a Problem. */
export async function downloadImages(shell, ids) {
  const { api, library, selection } = shell;
  const count = selection.count(library.count);
  if (count > MAX_IMAGES) {
    showToast(translate("download.tooMany", { count: MAX_IMAGES }), { kind: "error" });
    return;
  }
  const selected = [];
  for await (const page of selectedPages(shell, ids)) selected.push(...page);
  selection.close();
  if (selected.length === 1) return downloadOriginal(api, await library.fetch(selected[0]));

  const meter = el("progress", { class: "meter", max: 100, "aria-label": translate("download.progress", { count }) });
  const message = el("span", {}, translate("download.progress", { count }), meter);
  const toast = showToast(message, { seconds: UNTIL_DISMISSED_SECONDS });
  try {
    const headers = { "Idempotency-Key": newIdempotencyKey() };
    const job = await api.post("images/download", { image_ids: selected }, { headers });
    const onChange = ({ progress }) => (meter.value = progress);
    const { status, error, result } = await watchJob(api, job, { onChange });
    if (status === "failed") showToast(describeProblem(error), { kind: "error" });
    else finish(result);
  } finally {
    toast.dismiss();
  }
}

function finish({ url, note }) {
  el("a", { href: url, download: "" }).click();
  showToast(translate(note ? "download.incomplete" : "download.ready"));
}
