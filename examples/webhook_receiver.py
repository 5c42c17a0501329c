"""Receives webhooks, believes only those that Atelier signed, and prints each event once.

python examples/webhook_receiver.py --port 9000        # and tasks with "webhook_url": "http://localhost:9000/hook"

The key needs the scope `admin`, as it reads the secret that calls are signed with.
"""

import argparse
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from standardwebhooks import Webhook, WebhookVerificationError

URL = os.environ.get("ATELIER", "http://localhost:8080") + "/api/v1"
LARGEST = 1 << 20


class Receiver(ThreadingHTTPServer):
    def __init__(self, port: int, secret: str) -> None:
        super().__init__(("127.0.0.1", port), Call)
        self.signed = Webhook(secret)
        self.seen: set[str] = set()


class Call(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > LARGEST:
            self.answer(413)
            return
        body, headers = self.rfile.read(length), {name.lower(): value for name, value in self.headers.items()}
        try:
            event = self.server.signed.verify(body, headers)
        except (WebhookVerificationError, ValueError):  # a forgery, or an old call
            self.answer(400)
            return
        if headers["webhook-id"] not in self.server.seen:  # the same event may come twice
            self.server.seen.add(headers["webhook-id"])
            print(event["type"], event["subject"], event["data"]["status"], flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Only what was believed is printed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    given = parser.parse_args()
    answer = requests.get(f"{URL}/webhooks/secret", headers={"Authorization": f"Bearer {os.environ['KEY']}"})
    answer.raise_for_status()
    with Receiver(given.port, answer.json()["current"]) as receiver:
        print(f"listening on http://localhost:{receiver.server_port}/hook", flush=True)
        receiver.serve_forever()


if __name__ == "__main__":
    main()
