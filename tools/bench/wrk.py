# SPDX-License-Identifier: Apache-2.0
"""What wrk measures of an HTTP server; one of its threads is enough here."""
import re
import subprocess


def wrk(url, connections, seconds, enter=()):
    """The number of requests and their rate over connections that are kept; 'enter' leads to the client's place."""
    output = subprocess.run([*enter, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", url],
                            capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if failed:
        raise SystemExit(f"wrk: {failed.group(1)} refused answers\n{output}")
    return requests, float(re.search(r"Requests/sec:\s*([\d.]+)", output).group(1))
