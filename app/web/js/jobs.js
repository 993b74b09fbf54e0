/** Background jobs of the service, followed until they are over. */

import { follow } from "./events.js";

export const isOver = ({ status }) => status === "completed" || status === "failed";

/** Calls `onChange` with every state of `job`, the present one first; returns the last. */
export async function followJob(api, job, { onChange }) {
  let last = job;
  const onData = (state) => onChange((last = state));
  onData(job);
  if (!isOver(job)) await follow(api, `jobs/${job.job_id}/events`, { onData, isOver });
  return last;
}
