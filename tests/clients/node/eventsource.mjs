// The package eventsource, which does what browsers do: watches a task to its end, then waits whether it comes back.
import { EventSource } from "eventsource";

const [url, authorization] = [process.env.ATELIER_URL, `Bearer ${process.env.ATELIER_KEY}`];
const created = await fetch(`${url}/api/v1/tasks/`, {
  method: "POST",
  headers: { authorization, "content-type": "application/json" },
  body: process.env.TASK,
});
const task = await created.json();
const answers = [];
const source = new EventSource(`${url}/api/v1/tasks/${task.id}/events`, {
  fetch: async (input, init) => {
    const answer = await fetch(input, { ...init, headers: { ...init.headers, authorization } });
    answers.push(answer.status);
    return answer;
  },
});
const seen = [];
for (const name of ["status", "task", "progress", "reset"]) {
  source.addEventListener(name, (event) => seen.push({ name, id: event.lastEventId, data: JSON.parse(event.data) }));
}
await new Promise((resolve) => {
  const limit = setTimeout(resolve, 60_000);
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(limit);
      resolve();
    }
  });
});
const closed = source.readyState === EventSource.CLOSED;
source.close();
console.log(JSON.stringify({ id: task.id, seen, answers, closed }));
