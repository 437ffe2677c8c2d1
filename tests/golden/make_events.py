"""Makes tests/golden/events.tfevents: what TensorBoard's own writer makes of a few scalars.

By hand, with the packages of scripts/reference.sh (`make golden`):
    python tests/golden/make_events.py tests/golden/events.tfevents

With a file of ours as second argument it prints what TensorBoard reads there, tag by tag.
"""

import pathlib
import sys

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter


def scalars(**values):
    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag.replace("__", "/"), simple_value=value)
                                      for tag, value in values.items()])


def write(path):
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in (
            event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
            event_pb2.Event(wall_time=1700000000.25, step=301, session_log=event_pb2.SessionLog(status=1)),
            event_pb2.Event(wall_time=1700000001.5, step=310, summary=scalars(train__loss=0.5, train__learning_rate=1e-3)),
            event_pb2.Event(wall_time=1700000002.0, step=2**40, summary=scalars(validation__loss=float("nan"))),
            event_pb2.Event(wall_time=1700000003.0, summary=scalars(train__loss=-3.25)),
        ):
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()


def read(path):
    for event in EventFileLoader(path).Load():
        for value in event.summary.value:
            number = value.simple_value if value.HasField("simple_value") else value.tensor.float_val[0]
            print(event.step, value.tag, repr(number))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        read(sys.argv[2])
    else:
        write(pathlib.Path(sys.argv[1]))
