// A receiver of webhooks with the SDKs of CloudEvents and of Standard Webhooks: answers one call, prints what it read.
import { createServer } from "node:http";
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    try {
      new Webhook(process.env.WEBHOOK_SECRET).verify(body, request.headers);
      const event = HTTP.toEvent({ headers: request.headers, body });
      event.validate();
      response.writeHead(204).end();
      console.log(JSON.stringify({ type: event.type, subject: event.subject, status: event.data.status }));
    } catch (error) {
      response.writeHead(400).end();
      console.log(JSON.stringify({ refused: String(error), errors: error.errors }));
    }
    server.close();
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
