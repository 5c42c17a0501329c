"""What the storage service counts; how often it is called is counted with the calls."""

from __future__ import annotations

from services.telemetry.instruments import BYTES, Counter, Gauge, Histogram

STORED = Histogram("atelier_storage_object_bytes", "Sizes of the objects that were stored.", buckets=BYTES)
SENT = Counter("atelier_storage_sent_bytes_total", "Bytes of objects that were read.")
FREE = Gauge("atelier_storage_free_bytes", "Room left where objects lie in a local folder.")
