/** Errors of the API, and their descriptions for users. */

import { hasMessage, translate } from "./ui/i18n.js";

const TRANSIENT_CODES = ["network", "request_in_progress", "upload_locked", "upload_offset_mismatch"];

/** The page's own codes for error responses of a proxy in front of the service, which have no code of the service. */
const PROXY_CODES = { 403: "request_refused", 413: "request_too_large", 429: "too_many_requests" };

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

/** `body` is the JSON of the response, or null if the response was no JSON. */
export function problemFromResponse(status, body, retryAfter) {
  const isFromService = typeof body?.code === "string";
  const { code, detail = "", errors = [] } = isFromService ? body : { code: proxyCode(status) };
  const fieldErrors = errors.map((error) => `${error.field.split(".").at(-1)}: ${error.message}`).join(". ");
  return new Problem({ code, status, detail: fieldErrors || detail, retryAfter: Number(retryAfter) || null });
}

function proxyCode(status) {
  if (status < 300) return "response_foreign"; // For example the sign-in page of a hotel's network.
  return PROXY_CODES[status] ?? (status >= 500 || status === 408 ? "service_unavailable" : "unexpected");
}

/** Returns the page's message for the error code, or the service's English detail if the page has none. */
export function describeProblem(problem) {
  const { code, detail } = problem instanceof Problem || problem?.code ? problem : { code: "unexpected" };
  return hasMessage(`error.${code}`) ? translate(`error.${code}`) : detail || translate("error.unexpected");
}
