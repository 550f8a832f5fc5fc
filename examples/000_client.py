#!/usr/bin/env python3
"""A client of system 000, in another language: its two scenarios, against Purser.

    pip install pika
    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python3 examples/000_client.py

Purser must be serving, with wallets 1-9 and USD (`purser seed`). Exits with 1 when an answer is missing or is not the documented one.
The environment variable EXCHANGE names another exchange than `queries`.
"""

import json
import os
import random
import sys
import uuid
from decimal import Decimal

import pika

TIMEOUT_SECONDS = 30
EXCHANGE = os.environ.get("EXCHANGE", "queries")


class Client:
    """Publishes operations and pairs the replies by correlation id."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.reply_queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.replies = {}
        self.channel.basic_consume(self.reply_queue, self.on_reply, auto_ack=True)

    def on_reply(self, _channel, _method, properties, body):
        # Amounts as decimals: a float would not be exact.
        self.replies[properties.correlation_id] = json.loads(body, parse_float=Decimal)

    def ask(self, operation, **fields):
        """Publishes an operation; returns its correlation id."""
        correlation_id = str(uuid.uuid4())
        properties = pika.BasicProperties(
            content_type="application/json", correlation_id=correlation_id, reply_to=self.reply_queue
        )
        self.channel.basic_publish(EXCHANGE, operation, json.dumps(fields), properties)
        return correlation_id

    def wait(self, correlation_ids):
        """Waits for the replies to all of them, in their order."""
        deadline = TIMEOUT_SECONDS
        while not all(correlation_id in self.replies for correlation_id in correlation_ids) and deadline > 0:
            before = len(self.replies)
            self.connection.process_data_events(time_limit=1)
            deadline = TIMEOUT_SECONDS if len(self.replies) > before else deadline - 1
        return [self.replies.pop(correlation_id, None) for correlation_id in correlation_ids]

    def balance(self, wallet):
        """The actual balance in USD. The body is JSON in a string."""
        [reply] = self.wait([self.ask("balance", wallet_id=wallet)])
        expect(reply, {"operation": "balance", "code": 200}, ignore="body")
        body = json.loads(reply["body"], parse_float=Decimal)
        return Decimal(body.get("actual_balance", {}).get("USD", 0))


def expect(reply, expected, ignore=None):
    got = reply and {name: value for name, value in reply.items() if name != ignore}
    if got != expected:
        sys.exit(f"error: the answer is {reply}, not {expected}")


def not_enough(wallet):
    reason = f"there are not enough USD's on the wallet with id = {wallet} to be debited"
    return {"operation": "withdraw", "code": 400, "reason": reason}


def scenario_1(client):
    """Five credits of 1, a withdrawal of 50, the balance."""
    before = client.balance(1)
    for reply in client.wait([client.ask("invoice", wallet_id=1, ticker="USD", amount=1) for _ in range(5)]):
        expect(reply, {"operation": "invoice", "code": 200})
    credited = before + 5
    [reply] = client.wait([client.ask("withdraw", wallet_id=1, ticker="USD", amount=50)])
    # System 000 empties its books first; here earlier runs may have left enough.
    is_covered = credited >= 50
    expect(reply, {"operation": "withdraw", "code": 200} if is_covered else not_enough(1))
    after, expected = client.balance(1), credited - 50 if is_covered else credited
    if after != expected:
        sys.exit(f"error: wallet 1 holds {after} USD, not {expected}")
    print(f"scenario 1: as documented; wallet 1 holds {after} USD")


def scenario_2(client):
    """30 credits, 40 withdrawals and 50 readings at once, over eight wallets."""
    kinds = ["invoice"] * 30 + ["withdraw"] * 40 + ["balance"] * 50
    random.shuffle(kinds)
    asked = []
    for kind in kinds:
        wallet = random.randint(1, 8)
        money = {} if kind == "balance" else {"ticker": "USD", "amount": 1}
        asked.append((kind, wallet, client.ask(kind, wallet_id=wallet, **money)))
    replies = client.wait([correlation_id for _, _, correlation_id in asked])
    for (kind, wallet, _), reply in zip(asked, replies):
        if kind == "withdraw" and reply and reply["code"] != 200:
            expect(reply, not_enough(wallet))
        else:
            expect(reply, {"operation": kind, "code": 200}, ignore="body" if kind == "balance" else None)
    print(f"scenario 2: {len(replies)} replies, all as documented")


def main():
    url = os.environ.get("AMQP_URL")
    if not url:
        sys.exit("error: set AMQP_URL to the broker's address, such as amqp://guest:guest@127.0.0.1:5672/%2f")
    client = Client(url)
    scenario_1(client)
    scenario_2(client)
    client.connection.close()


if __name__ == "__main__":
    main()
