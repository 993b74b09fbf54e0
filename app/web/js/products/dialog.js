/** Dialog that imports the picture of a product by its barcode and shows the progress of recent imports. */

import { newIdempotencyKey } from "../api.js";
import { describeProblem } from "../problems.js";
import { openDialog } from "../ui/dialogs.js";
import { el, whileBusy } from "../ui/dom.js";
import { createField } from "../ui/forms.js";
import { translate } from "../ui/i18n.js";
import { normalize, validate } from "./ean.js";
import { createJobCard } from "./job_card.js";

const RECENT_JOBS = 5;

/** `onOpenImage(id)` opens an imported image. */
export function openProductDialog(shell, { onOpenImage }) {
  const { api, importCards } = shell;
  const cards = el("ul", { class: "jobs", "aria-label": translate("ean.recent") }, [...importCards.values()].reverse());
  const code = createCodeField();
  const submit = el("button", { class: "primary", disabled: true }, translate("ean.fetch"));
  const form = el("form", { class: "ean-form" }, code.element, submit);
  openDialog(translate("ean.title"), [el("p", { class: "muted" }, translate("ean.text")), form, cards]);

  code.input.addEventListener("input", () => (submit.disabled = !showValidation(code)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { isValid, code: ean } = validate(code.input.value);
    if (!isValid) return;
    await whileBusy(submit, async () => {
      try {
        cards.prepend(createJobCard(shell, await requestImage(api, ean), { onOpenImage }));
        code.input.value = "";
        code.showMessage("");
      } catch (problem) {
        code.showMessage(describeProblem(problem));
      }
    });
    if (document.activeElement === submit) code.input.focus();
    submit.disabled = !validate(code.input.value).isValid;
  });
  addRecentJobs(shell, (job) => cards.append(createJobCard(shell, job, { onOpenImage })));
}

const requestImage = (api, ean) =>
  api.post("fetch-image", { ean_code: ean }, { headers: { "Idempotency-Key": newIdempotencyKey() } });

function createCodeField() {
  const attributes = {
    inputmode: "numeric",
    autocomplete: "off",
    placeholder: "3017620422003",
    maxlength: 20,
    autofocus: true,
  };
  return createField(translate("ean.code"), attributes, { hint: translate("ean.hint") });
}

/** Shows below the field whether the code is valid, and returns that. */
function showValidation({ input, showMessage }) {
  const { isValid, error, expected } = validate(input.value);
  const count = normalize(input.value).length;
  if (!count) showMessage("");
  else if (isValid) showMessage(translate("ean.valid"), false);
  else showMessage(translate(`ean.error.${error}`, { count, expected }), error !== "short");
  return isValid;
}

async function addRecentJobs({ api, importCards }, add) {
  const { items } = await api.get("jobs?limit=20").catch(() => ({ items: [] }));
  const recent = items.filter(({ kind }) => kind === "fetch").slice(0, RECENT_JOBS);
  for (const job of recent) if (!importCards.has(job.job_id)) add(job);
}
