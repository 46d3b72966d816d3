"""Receives OTLP over HTTP with the official types, and prints each request as a line of JSON.

The argument is the port, or 0 for a free one. After SIGTERM, the receiver ends once it has answered the current request.
The query of the URL can contain `reject`, the number of data points to reject.
"""

import gzip
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        request = ExportMetricsServiceRequest.FromString(body)
        length = request.ByteSize()
        request.DiscardUnknownFields()
        received = {
            "path": self.path,
            "type": self.headers["Content-Type"],
            "encoding": self.headers["Content-Encoding"],
            "has_unknown_fields": request.ByteSize() != length,
            "request": MessageToDict(request, preserving_proto_field_name=True),
        }
        print(json.dumps(received), flush=True)
        response = ExportMetricsServiceResponse()
        rejected = parse_qs(urlparse(self.path).query).get("reject")
        if rejected:
            response.partial_success.rejected_data_points = int(rejected[0])
            response.partial_success.error_message = "too old"
        body = response.SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
# `shutdown` waits for `serve_forever`, which runs on this thread.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever(poll_interval=0.05)
