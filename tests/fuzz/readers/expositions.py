"""Reads expositions with the parsers of the Python client."""

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

from frames import number, pairs, serve


def samples(form, document):
    parser = openmetrics if form == "openmetrics" else text
    for family in parser.text_string_to_metric_families(document.decode()):
        if family.documentation:
            yield f"help {family.name} {family.documentation.encode().hex()}"
        for sample in family.samples:
            yield f"{sample.name} {{{pairs(sample.labels)}}} {number(sample.value)}"
            if sample.exemplar:
                exemplar = sample.exemplar
                yield f"exemplar {sample.name} {{{pairs(exemplar.labels)}}} {number(exemplar.value)}"


serve(samples)
