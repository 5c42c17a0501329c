// Uses the types that openapi-typescript makes of the OpenAPI document: draws a picture, waits, fetches it as bytes.
import { writeFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./atelier.js";

type Drawn = components["schemas"]["GenerationTaskPublic"];

const target = process.argv[2];
if (target === undefined) throw new Error("say where the picture goes");
const client = createClient<paths>({
  baseUrl: process.env.ATELIER_URL,
  headers: { Authorization: `Bearer ${process.env.ATELIER_KEY}` },
});

const created = await client.POST("/api/v1/tasks/", {
  params: { header: { Prefer: "wait=60" } },
  body: {
    task_type: "GENERATION",
    origin_instance: "openapi-typescript",
    prompt: "a red mug on a white background",
    width: 128,
    height: 128,
    seed: 7,
  },
});
if (created.error) throw new Error(JSON.stringify(created.error));
const drawn: Drawn = narrowed(created.data);
if (drawn.status !== "COMPLETED" || drawn.result_image_path === null) throw new Error(`the task is ${drawn.status}`);

const fetched = await client.GET("/api/v1/storage/images/{path}", {
  params: { path: { path: drawn.result_image_path } },
  parseAs: "arrayBuffer",
});
if (fetched.error) throw new Error(JSON.stringify(fetched.error));
await writeFile(target, new Uint8Array(fetched.data));

// The discriminator of the union is what narrows it: no cast.
function narrowed(task: components["schemas"]["Task"]): Drawn {
  if (task.task_type !== "GENERATION") throw new Error(`the discriminator says ${task.task_type}`);
  return task;
}
