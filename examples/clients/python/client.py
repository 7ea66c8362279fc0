"""A client of satgas in Python: hands in a visit, watches an evaluation, follows the log.

    client.py submit AREA SCHOOL ID        prints `accepted POSITION` or `already known POSITION`
    client.py watch AREA PERIOD COUNT      prints `stands ...`, then `changed ... at POSITION`, until COUNT changes were seen
    client.py follow AREA AFTER COUNT      prints `event POSITION KIND` for COUNT events after a position, each once

The server is $SATGAS_SERVER_URL, the token stands in the file $SATGAS_TOKEN_FILE, and $SATGAS_CA_FILE may name the authority of
the server's certificate. README.md beside this file says how the generated modules are made.
"""

import os
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from satgas.v1 import codes_pb2, evaluation_pb2, evaluation_pb2_grpc, event_pb2, event_pb2_grpc
from satgas.v1 import record_pb2, submission_pb2, submission_pb2_grpc

# A call that is answered once waits for the disk, which takes milliseconds: seconds mean that the answer is lost.
CALL_DEADLINE_S = 10
# Attempts in a row that bring nothing, with a pause between them that doubles up to the longest.
ATTEMPTS_MAX = 12
PAUSE_FIRST_S, PAUSE_MAX_S = 0.1, 10.0
# What a later attempt may cure. Everything else is the caller's to mend, and asking again would not help.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    # What a connection that was cut below a call may show as.
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


def main(args):
    match args:
        case ["submit", area, school, submission_id]:
            return submit(connect(), area, school, submission_id)
        case ["watch", area, period, count]:
            return watch(connect(), area, period, int(count))
        case ["follow", area, after, count]:
            return follow(connect(), area, int(after), int(count))
    print(__doc__, file=sys.stderr)
    return 64


def connect():
    """A channel that sends the token with each call. A token goes over TLS, or stays on this machine."""
    url = urlsplit(os.environ.get("SATGAS_SERVER_URL", "http://127.0.0.1:5371"))
    token = Path(os.environ["SATGAS_TOKEN_FILE"]).read_text(encoding="ascii").strip()
    if url.scheme == "https":
        authority = os.environ.get("SATGAS_CA_FILE")
        tls = grpc.ssl_channel_credentials(Path(authority).read_bytes() if authority else None)
        both = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
        return Server(grpc.secure_channel(url.netloc, both), None)
    if url.hostname not in ("127.0.0.1", "localhost", "::1"):
        sys.exit("a token over http:// could be read on the way: use https://")
    # Unlike others, this library keeps credentials of calls from plain connections, so the header is given with each call.
    return Server(grpc.insecure_channel(url.netloc), [("authorization", f"Bearer {token}")])


class Server:
    """A channel and what goes with each call."""

    def __init__(self, channel, metadata):
        self.channel = channel
        self.metadata = metadata


def submit(server, area, school, submission_id):
    """Hands in a visit. The id is made before the first attempt and kept: sent again, the visit is recorded once."""
    visit = record_pb2.SchoolVisit(
        school_id=school,
        purpose=codes_pb2.VISIT_PURPOSE_SOSIALISASI,
        topics=[codes_pb2.TOPIC_KSBE],
        reach=record_pb2.Reach(pupils_female=12, pupils_male=15),
    )
    occurred_at = Timestamp(seconds=id_seconds(submission_id))
    record = record_pb2.Submission(
        submission_id=submission_id,
        device_id="contoh-python",
        device_sequence=1,
        occurred_at=occurred_at,
        area_code=area,
        school_visit=visit,
    )
    stub = submission_pb2_grpc.SubmissionServiceStub(server.channel)
    request = submission_pb2.SubmitRequest(submission=record)

    patience, receipt = Patience(), None
    while receipt is None:
        try:
            receipt = stub.Submit(request, timeout=CALL_DEADLINE_S, metadata=server.metadata).receipt
        except grpc.RpcError as refused:
            patience.wait(refused)
    match receipt.status:
        case submission_pb2.RECEIPT_STATUS_ACCEPTED:
            print(f"accepted {receipt.position}")
            return 0
        case submission_pb2.RECEIPT_STATUS_ALREADY_KNOWN:
            print(f"already known {receipt.position}")
            return 0
    # A conflict and a quarantined record are kept by the server, a rejected one is not: its fields are to be mended.
    print(submission_pb2.ReceiptStatus.Name(receipt.status), receipt.position)
    for violation in receipt.violations:
        print(f"{violation.field} {violation.reason}", file=sys.stderr)
    return 2


def id_seconds(submission_id):
    """When an id of version 7 was made, in seconds since 1970: so the same id always comes with the same content."""
    return (uuid.UUID(submission_id).int >> 80) // 1000


class Patience:
    """How long to wait before the next attempt, and how many are left."""

    def __init__(self):
        self.progressed()

    def progressed(self):
        self.pause_s, self.left = PAUSE_FIRST_S, ATTEMPTS_MAX

    def wait(self, error=None):
        """Waits, if a later attempt may help; otherwise the error goes on. None: a stream that ended in order."""
        if self.left == 0 or (error is not None and error.code() not in PASSING):
            raise error or RuntimeError("the server ends each stream at once")
        time.sleep(self.pause_s)
        self.pause_s, self.left = min(2 * self.pause_s, PAUSE_MAX_S), self.left - 1


def watch(server, area, period, count):
    """Prints how a kelurahan's evaluation stands, and each change. After a cut the first picture comes again, so nothing is missed."""
    stub = evaluation_pb2_grpc.EvaluationServiceStub(server.channel)
    request = evaluation_pb2.WatchEvaluationsRequest(area_prefix=area, period=period)
    seen, patience = 0, Patience()
    while True:
        ended = None
        try:
            for message in stub.WatchEvaluations(request, metadata=server.metadata):
                patience.progressed()
                if not message.HasField("evaluation"):  # a heartbeat
                    continue
                evaluation = message.evaluation
                figures = f"{evaluation.area_code} visits {evaluation.activity.visits}"
                if message.cause_position == 0:
                    print(f"stands {figures}", flush=True)
                    continue
                print(f"changed {figures} at {message.cause_position}", flush=True)
                seen += 1
                if seen == count:
                    return 0
        except grpc.RpcError as cut:
            ended = cut
        patience.wait(ended)


def follow(server, area, after, count):
    """Prints each event of an area once, in order. `after` is all that must be kept for going on where one was, also after a restart."""
    stub = event_pb2_grpc.EventServiceStub(server.channel)
    seen, patience = 0, Patience()
    while True:
        ended = None
        of_area = event_pb2.EventFilter(area_prefix=area)
        request = event_pb2.SubscribeRequest(after_position=after, filter=of_area)
        try:
            for message in stub.Subscribe(request, metadata=server.metadata):
                patience.progressed()
                for event in message.events:
                    print(f"event {event.position} {event_pb2.EventKind.Name(event.kind)}", flush=True)
                    after = event.position
                    seen += 1
                    if seen == count:
                        return 0
                # Also past what the filter left out, so that it is not looked through again.
                after = max(after, message.resume_position)
        except grpc.RpcError as cut:
            ended = cut
        patience.wait(ended)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except grpc.RpcError as refused:
        # The code says whether to try again, the details what to mend.
        sys.exit(f"{refused.code().name}: {refused.details()}")
    except ValueError as wrong:
        sys.exit(f"an argument is wrong: {wrong}")
