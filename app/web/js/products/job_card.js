/** Card that shows the progress of importing the picture of one product. */

import { displayName, srcsetOf } from "../gallery/tile.js";
import { isFinished, watchJob } from "../jobs.js";
import { describeProblem } from "../problems.js";
import { el } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { hasMessage, translate } from "../ui/i18n.js";

export function createJobCard(shell, job, { onOpenImage }) {
  const image = el("div", { class: "job-image" }, icon("barcode"));
  const status = el("p", { role: "status" });
  const label = translate("ean.progress", { code: job.ean_code });
  const meter = el("progress", { class: "meter", max: 100, "aria-label": label });
  const open = el("button", { type: "button", class: "text-button", hidden: true }, translate("ean.open"));
  const text = el("div", { class: "item-text" }, el("p", { class: "item-name" }, job.ean_code), status, meter);
  const card = el("li", { class: "job" }, image, text, open);

  const onChange = (state) => {
    card.dataset.state = state.status;
    meter.value = state.progress;
    meter.hidden = isFinished(state);
    status.textContent = describeState(state);
  };
  if (!isFinished(job)) shell.importCards.set(job.job_id, card);
  watchJob(shell.api, job, { onChange })
    .then(async ({ result }) => {
      if (!result?.image_id) return;
      const view = await shell.library.fetch(result.image_id);
      shell.refreshUsageSoon();
      image.replaceChildren(el("img", { alt: displayName(view), srcset: srcsetOf(view), sizes: "72px" }));
      open.hidden = false;
      open.addEventListener("click", () => (card.closest("dialog").close(), onOpenImage(view.id)));
    })
    .catch((problem) => showProblem(status, problem))
    .finally(() => shell.importCards.delete(job.job_id));
  return card;
}

// The service's English message is more specific than a translation of the status. Only other languages have the latter.
function describeState({ status, error, message }) {
  if (status === "failed") return describeProblem(error);
  return hasMessage(`job.${status}`) ? translate(`job.${status}`) : message;
}

function showProblem(status, problem) {
  // The import succeeded, but the image may have been deleted afterwards.
  const wasDeleted = problem.code === "image_missing";
  status.textContent = wasDeleted ? translate("ean.deleted") : describeProblem(problem);
}
