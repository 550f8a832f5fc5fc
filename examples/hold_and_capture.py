#!/usr/bin/env python3
"""Hold money on a wallet, capture it in two parts, and see the rest given back.

    pip install pika
    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python3 examples/hold_and_capture.py

Purser must be serving, with wallet 1 and USD (`purser seed`). Exits with 1 when something is refused or not answered.
The environment variable EXCHANGE names another exchange than `purser.operations`.
"""

import json
import os
import sys
import time
import uuid

import pika

TIMEOUT_SECONDS = 10
ATTEMPTS_MAX = 3
EXCHANGE = os.environ.get("EXCHANGE", "purser.operations")


class Client:
    """Publishes one operation at a time and waits for its reply: that says more than a publisher confirm."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.reply_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.replies = {}
        self.channel.basic_consume(self.reply_queue, self.on_reply, auto_ack=True)

    def on_reply(self, _channel, _method, properties, body):
        self.replies[properties.correlation_id] = json.loads(body)

    def ask(self, operation, **fields):
        """What stands in the reply's body. The wait is limited; then the same is asked again under the same key, so it is done once."""
        key = str(uuid.uuid4())
        for _ in range(ATTEMPTS_MAX):
            self.publish(operation, key, fields)
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while key not in self.replies and time.monotonic() < deadline:
                self.connection.process_data_events(time_limit=1)
            if key in self.replies:
                reply = self.replies.pop(key)
                if reply["code"] != 200:
                    sys.exit(f"error: {operation} was refused: {reply['reason']} ({reply.get('rejection')})")
                return json.loads(reply["body"])
        sys.exit(f"error: no reply to {operation}; ask again with the key {key}")

    def publish(self, operation, key, fields):
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=key,
            correlation_id=key,
            reply_to=self.reply_queue,
        )
        self.channel.basic_publish(EXCHANGE, operation, json.dumps(fields), properties, mandatory=True)

    def holdings(self, wallet):
        usd = self.ask("balance", wallet_id=wallet)["balances"]["USD"]
        return f"{usd['available']} USD available, {usd['held']} held"


def main():
    url = os.environ.get("AMQP_URL")
    if not url:
        sys.exit("error: set AMQP_URL to the broker's address, such as amqp://guest:guest@127.0.0.1:5672/%2f")
    client = Client(url)
    client.ask("invoice", wallet_id=1, currency="USD", amount="20.00")
    print("credited:    ", client.holdings(1))
    # Amounts are strings: a float would not be exact.
    hold = client.ask("withdraw", wallet_id=1, currency="USD", amount="20.00", pending=True, expires_in=600)
    print("held:        ", client.holdings(1))
    client.ask("confirm", wallet_id=1, transaction_id=hold["id"], amount="12.50", final=False)
    print("captured:    ", client.holdings(1))
    last = client.ask("confirm", wallet_id=1, transaction_id=hold["id"], amount="2.50")
    print("captured:    ", client.holdings(1), "- the rest went back, the hold is", last["original_status"])
    client.connection.close()


if __name__ == "__main__":
    main()
