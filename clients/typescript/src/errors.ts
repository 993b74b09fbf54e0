import type { ServiceErrorCode } from "./schema.js";
import type { Problem } from "./types.js";

/**
 * - `network`: no response arrived, retries included.
 * - `timeout`: the response, or the next part of it, took too long.
 * - `unexpected_response`: the response is not one of this service, for example an error page of a proxy.
 * - `signed_out`: the `PasswordSession` has no tokens.
 */
export type ClientErrorCode = "network" | "timeout" | "unexpected_response" | "signed_out";

/** A code of the service or of this client. It may be another string, because later versions may add codes. */
export type ErrorCode = ServiceErrorCode | ClientErrorCode | (string & {});

interface Details {
  code: ErrorCode;
  message: string;
  status?: number;
  retryAfter?: number | null;
  problem?: Problem | null;
  cause?: unknown;
}

/** Every failure of a call, except an abort, which throws the reason of the signal. */
export class ImageServiceError extends Error {
  override readonly name = "ImageServiceError";
  /** What programs should use. */
  readonly code: ErrorCode;
  /** The HTTP status, or 0 if there was no response. */
  readonly status: number;
  /** How many seconds to wait before the next attempt, if the service said so. */
  readonly retryAfter: number | null;
  /** The error as the service described it, with `detail`, `request_id` and the invalid fields in `errors`. */
  readonly problem: Problem | null;

  constructor({ code, message, status = 0, retryAfter = null, problem = null, cause }: Details) {
    super(message, { cause });
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
    this.problem = problem;
  }
}

/** Return the error that a response with a status of 400 or more describes. */
export function errorOf(status: number, body: string, retryAfter: string | null = null): ImageServiceError {
  const problem = parseProblem(body);
  return new ImageServiceError({
    code: problem?.code ?? "unexpected_response",
    message: problem?.detail ?? `The response has the status ${status} and no description of an error.`,
    status,
    retryAfter: retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null,
    problem,
  });
}

function parseProblem(body: string): Problem | null {
  try {
    const value = JSON.parse(body);
    return typeof value?.code === "string" ? value : null;
  } catch {
    return null;
  }
}

/** Return whether the same request may succeed later. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof ImageServiceError)) return false;
  const { code, status } = error;
  if (status === 0) return code === "network" || code === "timeout";
  return status >= 500 || status === 423 || status === 429 || code === "request_in_progress";
}
