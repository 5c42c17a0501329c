// Node's own fetch: draws a picture, waits, writes its bytes to the file it is told.
import { writeFile } from "node:fs/promises";

const [url, authorization] = [process.env.ATELIER_URL, `Bearer ${process.env.ATELIER_KEY}`];
const created = await fetch(`${url}/api/v1/tasks/`, {
  method: "POST",
  headers: { authorization, "content-type": "application/json", prefer: "wait=60" },
  body: process.env.TASK,
});
const task = await created.json();
if (task.status !== "COMPLETED") throw new Error(`${created.status} ${JSON.stringify(task)}`);
const picture = await fetch(`${url}/api/v1/storage/images/${task.result_image_path}`, { headers: { authorization } });
if (!picture.ok) throw new Error(`${picture.status} ${await picture.text()}`);
await writeFile(process.argv[2], Buffer.from(await picture.arrayBuffer()));
