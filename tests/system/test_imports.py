# SPDX-License-Identifier: Apache-2.0
"""Imports while virgad is killed, and what virgad fetches by default."""
import http.server
import os
import threading

import pytest

from cloud import running_cloud
from conftest import wait_for

BYTES = 6 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    go = threading.Event()
    asked = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        Handler.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(BYTES))
        self.end_headers()
        try:
            self.wfile.write(b"x" * (BYTES // 2))
            Handler.go.wait(120)
            self.wfile.write(b"y" * (BYTES // 2))
        except OSError:
            pass


@pytest.fixture(scope="module")
def source():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d/disk.raw" % server.server_port
    Handler.go.set()
    server.shutdown()


def begin(cloud, url):
    return cloud.ec2.import_snapshot(DiskContainer={"Url": url})["ImportTaskId"]


def ended(cloud, id_):
    def look():
        found = cloud.ec2.describe_import_snapshot_tasks(ImportTaskIds=[id_])["ImportSnapshotTasks"][0]
        detail = found["SnapshotTaskDetail"]
        return detail if detail["Status"] != "active" else None
    return wait_for(look, 120, "%s does not end" % id_)


def open_files(cloud):
    """Those without a name in the store that virgad has."""
    directory = "/proc/%d/fd" % cloud.pid("virgad")
    found = []
    for name in os.listdir(directory):
        try:
            found.append(os.readlink("%s/%s" % (directory, name)))
        except FileNotFoundError:
            pass
    return [path for path in found if path.startswith(cloud.state + "/store/") and path.endswith("(deleted)")]


def test_virgad_is_killed(build_dir, source):
    settings = {"node": {"driver": "fake"}, "storage": {"import-from": "any"}}
    with running_cloud(build_dir, settings=settings) as cloud:
        before = sorted(os.listdir(cloud.state + "/store"))
        id_ = begin(cloud, source)
        wait_for(lambda: Handler.asked == 1 and open_files(cloud), 30, "the transfer to begin")
        cloud.kill("virgad")
        wait_for(lambda: Handler.asked == 2, 90, "the transfer to begin anew")
        Handler.go.set()
        done = ended(cloud, id_)
        assert done["Status"] == "completed" and done["DiskImageSize"] == BYTES
        assert sorted(os.listdir(cloud.state + "/store")) == sorted(before + [done["SnapshotId"] + ".qcow2"])
        assert open_files(cloud) == []
        cloud.ec2.delete_snapshot(SnapshotId=done["SnapshotId"])
        assert sorted(os.listdir(cloud.state + "/store")) == before


@pytest.mark.parametrize("url", ["http://127.0.0.1:%s/", "http://localhost:%s/", "http://[::1]:%s/",
                                 "http://169.254.169.254/latest/meta-data/"])
def test_this_machine_is_not_read(fake_cloud, source, url):
    """Whoever may import does not see what virgad's machine says to itself."""
    asked = Handler.asked
    done = ended(fake_cloud, begin(fake_cloud, url % source.rsplit(":", 1)[1].split("/")[0] if "%" in url else url))
    assert done["Status"] == "error" and "may be fetched" in done["StatusMessage"]
    assert Handler.asked == asked
