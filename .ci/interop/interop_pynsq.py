"""Tests `tally nsqd` with the unmodified client pynsq: PUB, MPUB and DPUB, FIN, REQ and TOUCH, TLS, snappy
and deflate, and the number of deliveries of each message.

Usage: interop_pynsq.py PATH-TO-TALLY
Prints the number of passed tests, and exits with 1 if a test failed.
"""

import functools
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import nsq
import tornado.ioloop

TALLY = sys.argv.pop(1)
DEADLINE_SECONDS = 20


def setUpModule():
    global broker, address, folder, certificate
    folder = tempfile.TemporaryDirectory()
    certificate = os.path.join(folder.name, "certificate.pem")
    key = os.path.join(folder.name, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    # The same flags as in pynsq's own tests, except that nothing is stored on disk.
    broker = subprocess.Popen(
        [TALLY, "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
         "--memory-only", "--snappy", "--deflate", f"--tls-key={key}", f"--tls-cert={certificate}"],
        stderr=subprocess.PIPE, text=True)
    for line in broker.stderr:
        found = re.search(r"TCP: listening on (\S+)", line)
        if found:
            address = found.group(1)
            return
    raise RuntimeError("tally nsqd did not start")


def tearDownModule():
    broker.terminate()
    broker.stderr.close()
    status = broker.wait(timeout=10)
    folder.cleanup()
    assert status == 0, f"tally nsqd exited with {status}"


class PynsqTest(unittest.TestCase):
    """Runs one loop per test, until the test stops it or its deadline passes."""

    def setUp(self):
        self.loop = tornado.ioloop.IOLoop.current()
        self.timed_out = False

    def run_loop(self):
        def time_out():
            self.timed_out = True
            self.loop.stop()

        deadline = self.loop.call_later(DEADLINE_SECONDS, time_out)
        self.loop.start()
        self.loop.remove_timeout(deadline)
        self.assertFalse(self.timed_out, "the deadline passed")

    def publish(self, verb, *arguments, **options):
        """Publishes when the connection is ready, and expects OK."""
        answers = []

        def answered(connection, data):
            answers.append(data)
            self.loop.stop()

        writer = nsq.Writer([address], **options)

        def attempt():
            if not writer.conns:
                self.loop.call_later(0.01, attempt)
                return
            getattr(writer, verb)(*arguments, callback=answered)

        self.loop.add_callback(attempt)
        self.run_loop()
        self.assertEqual(answers, [b"OK"])

    def consume(self, topic, handler, **options):
        reader = nsq.Reader(
            topic=topic, channel="interop", nsqd_tcp_addresses=[address],
            message_handler=handler, **options)
        self.run_loop()
        return reader

    def test_every_message_of_pub_and_mpub_arrives_once(self):
        bodies = [b"message %d" % number for number in range(1000)]
        self.publish("mpub", "bodies", bodies[1:])
        self.publish("pub", "bodies", bodies[0])
        seen = []

        def handler(message):
            seen.append(message.body)
            if len(seen) == len(bodies):
                self.loop.call_later(0, self.loop.stop)
            return True

        reader = self.consume("bodies", handler, max_in_flight=50)
        self.assertEqual(sorted(seen), sorted(bodies))
        reader.close()

    def test_a_deferred_message_arrives_after_its_delay(self):
        published = time.monotonic()
        self.publish("dpub", "deferred", 300, b"later")
        arrived = []

        def handler(message):
            arrived.append(time.monotonic())
            self.loop.call_later(0, self.loop.stop)
            return True

        reader = self.consume("deferred", handler)
        self.assertGreaterEqual(arrived[0] - published, 0.3)
        reader.close()

    def test_a_requeued_message_is_redelivered_with_one_more_attempt(self):
        self.publish("pub", "requeued", b"again")
        attempts = []

        def handler(message):
            attempts.append(message.attempts)
            if message.attempts < 3:
                message.requeue(delay=0, backoff=False)
                message.enable_async()
                return None
            self.loop.call_later(0, self.loop.stop)
            return True

        reader = self.consume("requeued", handler)
        self.assertEqual(attempts, [1, 2, 3])
        reader.close()

    def test_a_touched_message_is_not_requeued_at_its_first_timeout(self):
        self.publish("pub", "touched", b"slow")
        attempts = []

        def handler(message):
            attempts.append(message.attempts)
            message.enable_async()
            self.loop.call_later(0.7, message.touch)
            self.loop.call_later(1.4, functools.partial(finish, message))

        def finish(message):
            message.finish()
            self.loop.call_later(0.3, self.loop.stop)

        reader = self.consume("touched", handler, msg_timeout=1)
        self.assertEqual(attempts, [1])
        reader.close()

    def test_messages_pass_through_every_combination_of_tls_and_compression(self):
        trust = {"ca_certs": certificate, "cert_reqs": ssl.CERT_REQUIRED}
        for tls in ({}, {"tls_v1": True, "tls_options": trust}):
            for compression in ({}, {"snappy": True}, {"deflate": True, "deflate_level": 6}):
                with self.subTest(tls=bool(tls), compression=compression):
                    self.exchange({**tls, **compression})

    def exchange(self, layers):
        """Publishes and consumes compressible and incompressible bodies."""
        topic = "layers_" + "_".join(sorted(layers))
        bodies = [os.urandom(length) for length in (1, 100, 5_000)]
        bodies += [b"x" * length for length in (1, 100, 500_000)]
        bodies += [b"message %d" % number for number in range(500)]
        self.publish("mpub", topic, bodies, **layers)
        seen = []

        def handler(message):
            seen.append(message.body)
            if len(seen) == len(bodies):
                self.loop.call_later(0, self.loop.stop)
            return True

        reader = self.consume(topic, handler, max_in_flight=50, **layers)
        self.assertEqual(sorted(seen), sorted(bodies))
        reader.close()


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed or not result.testsRun else 0)
