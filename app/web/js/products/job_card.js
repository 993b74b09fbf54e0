/** How the import of one product's picture is going. */

import { h } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { t } from "../parts/i18n.js";
import { nameOf, sources } from "../gallery/tile.js";
import { followJob, isOver } from "../jobs.js";
import { explain } from "../problems.js";

export function jobCard(desk, job, { onImage }) {
  const picture = h("div", { class: "job-picture" }, icon("barcode"));
  const words = h("p", { role: "status" });
  const meter = h("progress", { class: "meter", max: 100, "aria-label": t("ean.progress", { code: job.ean_code }) });
  const open = h("button", { type: "button", class: "quiet", hidden: true }, t("ean.open"));
  const card = h(
    "li",
    { class: "job" },
    picture,
    h("div", { class: "words" }, h("p", { class: "name" }, job.ean_code), words, meter),
    open,
  );

  const onChange = (state) => {
    card.dataset.state = state.status;
    meter.value = state.progress;
    meter.hidden = isOver(state);
    words.textContent = jobWords(state);
  };
  if (!isOver(job)) desk.imports.set(job.job_id, card);
  followJob(desk.api, job, { onChange })
    .then(async ({ result }) => {
      if (!result?.image_id) return;
      const view = await desk.library.fetch(result.image_id);
      desk.countSoon();
      picture.replaceChildren(h("img", { alt: nameOf(view), srcset: sources(view), sizes: "72px" }));
      open.hidden = false;
      open.addEventListener("click", () => (card.closest("dialog").close(), onImage(view.id)));
    })
    .catch((problem) => showProblem(words, problem))
    .finally(() => desk.imports.delete(job.job_id));
  return card;
}

function jobWords({ status, error, message }) {
  if (status === "failed") return explain(error);
  return t(`job.${status}`) === `job.${status}` ? message : t(`job.${status}`);
}

function showProblem(words, problem) {
  // What was fetched may have been deleted since; that is no failure of the import.
  words.textContent = problem.code === "image_missing" ? t("ean.deletedSince") : explain(problem);
}
