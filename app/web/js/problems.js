/** Errors of the API, and their descriptions for users. */

import { hasMessage, translate } from "./ui/i18n.js";

const TRANSIENT_CODES = ["network", "request_in_progress", "upload_locked", "upload_offset_mismatch"];

/** An error response (RFC 9457). The code is `network` if there was no response. */
export class Problem extends Error {
  constructor({ code, status = 0, detail = "", retryAfter = null }) {
    super(detail || code);
    Object.assign(this, { code, status, detail, retryAfter });
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    return TRANSIENT_CODES.includes(this.code) || [408, 429].includes(this.status) || this.status >= 500;
  }
}

export function problemFromResponse(status, body, retryAfter) {
  const { code = "unexpected", detail = "", errors = [] } = body ?? {};
  const fieldErrors = errors.map((error) => `${error.field.split(".").at(-1)}: ${error.message}`).join(". ");
  return new Problem({ code, status, detail: fieldErrors || detail, retryAfter: Number(retryAfter) || null });
}

/** Returns the page's message for the error code, or the service's English detail if the page has none. */
export function describeProblem(problem) {
  const { code, detail } = problem instanceof Problem || problem?.code ? problem : { code: "unexpected" };
  return hasMessage(`error.${code}`) ? translate(`error.${code}`) : detail || translate("error.unexpected");
}
