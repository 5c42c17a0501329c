"""The loop of a worker, whatever it runs: queue, runs, reports, heartbeat, leases."""
