"""Reads lines of Graphite's plaintext protocol with carbon's own receiver."""

from carbon.protocols import MetricLineReceiver
from carbon.util import TaggedSeries

from frames import number, serve


class Receiver(MetricLineReceiver):
    """Keeps the received values instead of storing them."""

    peerName = "fuzz"

    class transport:
        disconnecting = False

    def __init__(self):
        self.samples = []

    def metricReceived(self, metric, datapoint):
        # Carbon drops values that are NaN, and stores a series under the normal form of its tags.
        if datapoint[1] == datapoint[1]:
            path = TaggedSeries.parse(metric).path if ";" in metric else metric
            self.samples.append(f"{path} {number(datapoint[1])}")


def samples(_, document):
    receiver = Receiver()
    receiver.dataReceived(document)
    lines = document.count(b"\n")
    if lines != len(receiver.samples):
        raise ValueError(f"{lines} lines, {len(receiver.samples)} samples")
    return receiver.samples


serve(samples)
