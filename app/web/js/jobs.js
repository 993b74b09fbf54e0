/** Background jobs of the service. */

import { subscribe } from "./events.js";

export const isFinished = ({ status }) => status === "completed" || status === "failed";

/** Calls `onChange` with the current state of `job` and with every later one. Returns the final state. */
export async function watchJob(api, job, { onChange }) {
  let latest = job;
  const onData = (state) => onChange((latest = state));
  onData(job);
  if (!isFinished(job)) await subscribe(api, `jobs/${job.job_id}/events`, { onData, isFinal: isFinished });
  return latest;
}
