// The official JavaScript SDK of CloudEvents, strict as it is: one event a line, as the stream holds them.
import { createInterface } from "node:readline";
import { CloudEvent } from "cloudevents";

const types = [];
for await (const line of createInterface({ input: process.stdin })) {
  const event = new CloudEvent(JSON.parse(line));
  event.validate();
  types.push(event.type);
}
console.log(JSON.stringify(types));
