"""`python -m infra.sqs_poller`: bucket notifications from an SQS queue, each on disk before it is deleted there.

What is no notification is left in the queue: its redrive policy moves it to the dead-letter queue, where a person can
look at it (infra/aws has both).
"""

from __future__ import annotations

import threading
from typing import Annotated, Any

import typer

from infra.receiving import LOG, Door, Longest, Quiet, Source, SpoolFolder, Target, opened, stop_on_signals
from oldphoto_core.arrivals import BadNotification, Gathering
from oldphoto_core.errors import OldPhotoError

WAIT_SECONDS = 20
"""The longest that SQS lets a request wait for messages."""
PAUSE_SECONDS = 10.0
"""After SQS did not answer."""


def poll(queue_url: str, door: Door, stopping: threading.Event, wait_seconds: int = WAIT_SECONDS) -> None:
    """Takes messages until `stopping`; a message goes from the queue when its keys are on disk."""
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    client: Any = botocore.session.get_session().create_client("sqs")
    while not stopping.is_set():
        try:
            answer = client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds)
            if taken := [message for message in answer.get("Messages", ()) if _take(door, message)]:
                entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(taken)]
                client.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        except (BotoCoreError, ClientError, OldPhotoError) as error:
            LOG.warning("the queue or the spool fails (%s); messages stay in the queue", error)
            stopping.wait(PAUSE_SECONDS)
        except Exception:  # whatever a message made happen, the next ones are taken all the same
            LOG.exception("messages could not be taken; they stay in the queue")
            stopping.wait(PAUSE_SECONDS)


def _take(door: Door, message: dict[str, Any]) -> bool:
    try:
        # what is not text is refused by what reads it, like any other bad body
        door.take(message["Body"].encode("utf-8", "surrogatepass"))
    except BadNotification as error:
        LOG.warning("message %s stays in the queue: %s", message["MessageId"], error)
        return False
    return True


def main(
    source: Source,
    target: Target,
    spool: SpoolFolder,
    queue_url: Annotated[str, typer.Option(envvar="OLDPHOTO_QUEUE_URL", help="The SQS queue's URL.")],
    quiet: Quiet = 60.0,
    longest: Longest = 900.0,
) -> None:
    """Take bucket notifications from an SQS queue and hand them to Prefect in batches."""
    stopping = stop_on_signals()
    with opened(source, target, spool, Gathering(quiet_seconds=quiet, longest_seconds=longest)) as door:
        poll(queue_url, door, stopping)


if __name__ == "__main__":
    try:
        typer.run(main)
    except OldPhotoError as error:
        raise SystemExit(f"sqs_poller: {error}") from None
