"""Tests `tally nsqd` with the unmodified client gnsq: PUB, MPUB and DPUB over TCP and HTTP, FIN, REQ and
TOUCH, TLS, snappy and deflate, AUTH, and discovery through nsqlookupd.

Usage: interop_gnsq.py PATH-TO-TALLY
Prints the number of passed tests, and exits with 1 if a test failed.
"""

import contextlib
import os
import ssl
import sys
import time
import unittest

import gevent
import gnsq
import gnsq.errors

import nsqd

TALLY = sys.argv.pop(1)
DEADLINE_SECONDS = 20


def setUpModule():
    global broker, stop
    stop = contextlib.ExitStack()
    broker = stop.enter_context(nsqd.running(TALLY))


def tearDownModule():
    stop.close()


def publish(*messages, topic, address=None, defer=None, **options):
    """Publishes over one connection, because gnsq's Producer cannot upgrade its connections to TLS."""
    host, port = (address or broker["tcp"]).split(":")
    connection = gnsq.NsqdTCPClient(host, int(port), timeout=DEADLINE_SECONDS, **options)
    connection.connect()
    try:
        connection.identify()
        if len(messages) > 1:
            connection.multipublish(topic, messages)
        else:
            connection.publish(topic, messages[0], defer=defer)
        connection.check_ok()
    finally:
        connection.close_stream()


def consume(topic, handler, *, until, **options):
    """Consumes until `until()` is true or the deadline has passed."""
    if "lookupd_http_addresses" not in options:
        options.setdefault("nsqd_tcp_addresses", broker["tcp"])
    consumer = gnsq.Consumer(topic, "interop", message_handler=handler, **options)
    consumer.start(block=False)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not until() and time.monotonic() < deadline:
        gevent.sleep(0.01)
    consumer.close()
    consumer.join(DEADLINE_SECONDS)
    assert until(), "no more messages arrived"


class GnsqTest(unittest.TestCase):
    def expect(self, topic, bodies, **options):
        seen = []
        consume(
            topic, lambda _, message: seen.append(message.body),
            until=lambda: len(seen) >= len(bodies), max_in_flight=50, **options)
        self.assertEqual(sorted(seen), sorted(bodies))

    def test_every_message_of_pub_and_mpub_arrives_once(self):
        bodies = [b"message %d" % number for number in range(1000)]
        producer = gnsq.Producer(broker["tcp"])
        producer.start()
        producer.multipublish("bodies", bodies[1:], timeout=DEADLINE_SECONDS)
        producer.publish("bodies", bodies[0], timeout=DEADLINE_SECONDS)
        producer.close()
        self.expect("bodies", bodies)

    def test_messages_published_over_http_arrive(self):
        host, port = broker["http"].split(":")
        client = gnsq.NsqdHTTPClient(host, int(port))
        client.publish("web", b"one")
        client.multipublish("web", [b"two", b"three"])
        client.multipublish("web", [b"fo\nur"], binary=True)
        self.expect("web", [b"one", b"two", b"three", b"fo\nur"])
        self.assertEqual(client.ping(), b"OK")
        counts = {topic["topic_name"]: topic["message_count"] for topic in client.stats()["topics"]}
        self.assertEqual(counts["web"], 4)

    def test_a_deferred_message_arrives_after_its_delay(self):
        published = time.monotonic()
        publish(b"later", topic="deferred", defer=300)
        arrived = []
        consume(
            "deferred", lambda _, message: arrived.append(time.monotonic()),
            until=lambda: arrived)
        self.assertGreaterEqual(arrived[0] - published, 0.3)

    def test_a_requeued_message_is_redelivered_with_one_more_attempt(self):
        publish(b"again", topic="requeued")
        attempts = []

        def handler(_, message):
            attempts.append(message.attempts)
            if message.attempts < 3:
                message.enable_async()
                message.requeue(0, backoff=False)

        consume("requeued", handler, until=lambda: len(attempts) == 3)
        self.assertEqual(attempts, [1, 2, 3])

    def test_a_touched_message_is_not_requeued_at_its_first_timeout(self):
        with nsqd.running(TALLY, "--msg-timeout=1s") as quick:
            publish(b"slow", topic="touched", address=quick["tcp"])
            attempts, done = [], []

            def handler(_, message):
                attempts.append(message.attempts)
                message.enable_async()
                gevent.sleep(0.7)
                message.touch()
                gevent.sleep(0.7)
                message.finish()
                gevent.sleep(0.3)
                done.append(message)

            consume("touched", handler, until=lambda: done, nsqd_tcp_addresses=quick["tcp"])
            self.assertEqual(attempts, [1])

    layers = [
        {"tls_v1": tls, "snappy": snappy, "deflate": deflate}
        for tls in (False, True) for snappy in (False, True) for deflate in (False, True)]

    def test_messages_pass_through_every_combination_of_tls_and_compression(self):
        for layer in self.layers:
            name = "_".join(key for key, is_on in layer.items() if is_on) or "plain"
            with self.subTest(name):
                options = dict(layer)
                if layer["tls_v1"]:
                    options["tls_options"] = {
                        "ca_certs": broker["certificate"], "cert_reqs": ssl.CERT_REQUIRED}
                if layer["snappy"] and layer["deflate"]:
                    self.expect_refusal(options)
                else:
                    self.exchange(f"layers_{name}", options)

    def exchange(self, topic, options):
        """Publishes and consumes compressible and incompressible bodies."""
        bodies = [os.urandom(length) for length in (1, 100, 5_000)]
        bodies += [b"x" * length for length in (1, 100, 500_000)]
        bodies += [b"message %d" % number for number in range(500)]
        publish(*bodies, topic=topic, **options)
        self.expect(topic, bodies, **options)

    def expect_refusal(self, options):
        host, port = broker["tcp"].split(":")
        client = gnsq.NsqdTCPClient(host, int(port), **options)
        client.connect()
        with self.assertRaisesRegex(gnsq.errors.NSQException, "both deflate and snappy"):
            client.identify()
        client.close_stream()

    def test_only_clients_with_the_secret_are_authorized(self):
        with nsqd.auth_server("open") as server:
            with nsqd.running(TALLY, f"--auth-http-address={server}") as guarded:
                address = guarded["tcp"]
                publish(b"secret", topic="guarded", address=address, auth_secret=b"open")
                self.expect(
                    "guarded", [b"secret"], nsqd_tcp_addresses=address, auth_secret=b"open")
                with self.assertRaises(Exception):
                    publish(b"no", topic="guarded", address=address)

    def test_a_consumer_discovers_the_broker_through_nsqlookupd(self):
        with nsqd.lookupd() as lookup:
            with nsqd.running(TALLY, f"--lookupd-tcp-address={lookup.tcp}") as found:
                publish(b"here", topic="found", address=found["tcp"])
                self.assertTrue(lookup.wait_for("found"), "the topic was not registered")
                self.expect("found", [b"here"], lookupd_http_addresses=lookup.http)


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed or not result.testsRun else 0)
