# SPDX-License-Identifier: Apache-2.0
"""Disk images of others: how imports end, what they leave, and what is refused.  A server of the test
has the images; virgad's worker runs beside the API."""
import http.server
import os
import struct
import subprocess
import threading
import time

import pytest

from conftest import IMAGE_SNAPSHOT, fails, wait_for
from test_quotas import check, limit  # noqa: F401

MIB = 1 << 20


class Source(http.server.ThreadingHTTPServer):
    """Serves files; "slow" waits until it is let go, "trickle" never ends, "loop" leads to itself."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.go = {}, [], threading.Event()
        self.url = "http://127.0.0.1:%d/" % self.server_port
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        if name == "loop" or name.startswith("to="):
            self.send_response(302)
            self.send_header("Location", name[3:] or "/loop")
            self.end_headers()
            return
        if name not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if name == "slow":
                self.wfile.write(body[:4096])
                self.server.go.wait(60)
                self.wfile.write(body[4096:])
            elif name == "half":
                self.wfile.write(body[:len(body) // 2])
            else:
                self.wfile.write(body)
        except OSError:
            pass


def convert(tmp_path, data, form, *options):
    raw, made = tmp_path / "raw", tmp_path / ("made." + form)
    raw.write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, *options, raw, made], check=True)
    return made.read_bytes()


@pytest.fixture
def source(cloud, tmp_path):
    server = Source()
    pattern = b"".join(bytes([n % 251 + 1]) * 65536 for n in range(40)) + bytes(MIB)
    server.pattern = pattern
    server.files.update(
        {"disk.raw": pattern, "slow": pattern, "half": pattern,
         "disk.qcow2": convert(tmp_path, pattern, "qcow2"),
         "small.qcow2": convert(tmp_path, pattern, "qcow2", "-c"),
         "disk.vmdk": convert(tmp_path, pattern, "vmdk"),
         "stream.vmdk": convert(tmp_path, pattern, "vmdk", "-o", "subformat=streamOptimized")})
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()


def task(client, id_):
    if id_.startswith("import-ami"):
        return client.describe_import_image_tasks(ImportTaskIds=[id_])["ImportImageTasks"][0]
    found = client.describe_import_snapshot_tasks(ImportTaskIds=[id_])["ImportSnapshotTasks"][0]
    return dict(found["SnapshotTaskDetail"], Tags=found.get("Tags", []))


def ended(client, id_, deadline_s=40):
    wait_for(lambda: task(client, id_)["Status"] not in ("active", "deleting"), "%s does not end" % id_, deadline_s)
    return task(client, id_)


def import_snapshot(cloud, url, **options):
    container = {"Url": url, "Description": "a disk"}
    container.update(options.pop("container", {}))
    return cloud.ec2.import_snapshot(DiskContainer=container, **options)["ImportTaskId"]


def import_image(cloud, *containers, **options):
    return cloud.ec2.import_image(DiskContainers=list(containers), **options)["ImportTaskId"]


def store(cloud):
    return sorted(os.listdir(cloud.state + "/store"))


def clean(cloud):
    """Nothing of an import is there: neither rows nor files."""
    assert cloud.sql("SELECT id FROM snapshot WHERE id <> '%s'" % IMAGE_SNAPSHOT) == []
    assert cloud.ec2.describe_images(Owners=["self"])["Images"] == []
    wait_for(lambda: not [f for f in store(cloud) if f.endswith(".part")], "a part remains")
    check(cloud)


@pytest.fixture(autouse=True)
def empty_store(cloud):
    for name in store(cloud):
        os.unlink(cloud.state + "/store/" + name)


@pytest.mark.parametrize("name, form", [
    ("disk.raw", "RAW"), ("disk.qcow2", None), ("small.qcow2", "qcow2"), ("disk.vmdk", "VMDK"), ("stream.vmdk", None)])
def test_snapshot(cloud, source, tmp_path, name, form):
    id_ = import_snapshot(cloud, source.url + name, Description="the task", TagSpecifications=[
        {"ResourceType": "import-snapshot-task", "Tags": [{"Key": "a", "Value": "b"}]}],
        container={"Format": form} if form else {})
    done = ended(cloud.ec2, id_)
    assert done["Status"] == "completed", done
    assert done["Url"] == source.url + name and done["Tags"] == [{"Key": "a", "Value": "b"}]
    assert done["DiskImageSize"] == len(source.files[name])
    snapshot = cloud.ec2.describe_snapshots(SnapshotIds=[done["SnapshotId"]])["Snapshots"][0]
    assert snapshot["State"] == "completed" and snapshot["VolumeSize"] == 1
    assert store(cloud) == [done["SnapshotId"] + ".qcow2"]
    back = tmp_path / "back"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw",
                    cloud.state + "/store/" + store(cloud)[0], back], check=True)
    assert back.read_bytes() == source.pattern
    check(cloud)
    cloud.ec2.delete_snapshot(SnapshotId=done["SnapshotId"])
    assert store(cloud) == []


def test_image(cloud, source):
    id_ = import_image(cloud, {"Url": source.url + "disk.qcow2", "Description": "root"},
                       {"Url": source.url + "disk.vmdk", "DeviceName": "/dev/sdf"}, {"SnapshotId": IMAGE_SNAPSHOT},
                       Description="of others", Platform="Linux", Architecture="x86_64", LicenseType="BYOL")
    done = ended(cloud.ec2, id_)
    assert done["Status"] == "completed" and done["Description"] == "of others", done
    assert [d["DeviceName"] for d in done["SnapshotDetails"]] == ["/dev/sda1", "/dev/sdf", "/dev/sdc"]
    image = cloud.ec2.describe_images(ImageIds=[done["ImageId"]])["Images"][0]
    assert image["Name"] == id_ and image["State"] == "available" and image["RootDeviceName"] == "/dev/sda1"
    devices = {m["DeviceName"]: m["Ebs"] for m in image["BlockDeviceMappings"]}
    assert devices["/dev/sdc"]["SnapshotId"] == IMAGE_SNAPSHOT and devices["/dev/sdf"]["VolumeSize"] == 1
    cloud.ec2.run_instances(ImageId=done["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1)
    with fails("IncorrectState"):
        cloud.ec2.cancel_import_task(ImportTaskId=id_)
    check(cloud)


def bad_qcow2(**changes):
    head = bytearray(MIB)
    struct.pack_into(">4sIQIIQIIQQIIQ", head, 0, b"QFI\xfb", 3, 0, 0, 16, MIB, 0, 16, 65536, 131072, 1, 0, 0)
    struct.pack_into(">QQQII", head, 72, 0, 0, 0, 4, 104)
    for at, value in changes.get("at", {}).items():
        head[at:at + len(value)] = value
    return bytes(head)


def vmdk(descriptor):
    """A sparse one with a descriptor inside it."""
    head = bytearray(MIB)
    struct.pack_into("<4sIIQQQQIQQQB", head, 0, b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 0, 26, 128, 0)
    text = descriptor.encode()
    head[512:512 + len(text)] = text
    return bytes(head)


SECRET = b"root:secret-of-the-host"
HOSTILE = {
    "backing": bad_qcow2(at={8: struct.pack(">QI", 512, 11), 512: b"/etc/shadow"}),
    "data file": bad_qcow2(at={72: struct.pack(">Q", 4)}),
    "huge L1": bad_qcow2(at={36: struct.pack(">I", 0xffffffff)}),
    "huge refcounts": bad_qcow2(at={56: struct.pack(">I", 0xffffffff)}),
    "huge disk": bad_qcow2(at={24: struct.pack(">Q", 1 << 62)}),
    "huge snapshots": bad_qcow2(at={60: struct.pack(">IQ", 0xffffffff, 4096)}),
    "misplaced L1": bad_qcow2(at={40: struct.pack(">Q", 77)}),
    "unknown features": bad_qcow2(at={72: struct.pack(">Q", 1 << 40)}),
    "encrypted": bad_qcow2(at={32: struct.pack(">I", 2)}),
    "extent": b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "/etc/shadow" 0\n' + bytes(999),
    "parent": vmdk('# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=2\ncreateType="monolithicSparse"\n'
                   'parentFileNameHint="/etc/shadow"\nRW 2048 SPARSE "x"\n'),
    "list": b"KDMV" + bytes(2048),
    "json": b"json:{}",
    "vhd": b"conectix" + bytes(1024), "vhdx": b"vhdxfile" + bytes(1024), "zip": b"PK\x03\x04" + bytes(1024),
    "short": b"x" * 100, "empty": b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile(cloud, source, kind):
    source.files["bad"] = HOSTILE[kind]
    done = ended(cloud.ec2, import_snapshot(cloud, source.url + "bad"))
    assert done["Status"] == "error" and done["StatusMessage"].startswith("ClientError: "), done
    assert "SnapshotId" not in done
    clean(cloud)
    assert store(cloud) == []


def test_other_format_than_said(cloud, source):
    done = ended(cloud.ec2, import_snapshot(cloud, source.url + "disk.qcow2", container={"Format": "RAW"}))
    assert done["Status"] == "error" and "qcow2" in done["StatusMessage"]
    clean(cloud)


@pytest.mark.parametrize("name", ["missing", "loop", "half", "to=file:///etc/passwd", "to=gopher://127.0.0.1/"])
def test_not_to_be_had(cloud, source, name):
    done = ended(cloud.ec2, import_image(cloud, {"Url": source.url + "disk.raw"}, {"Url": source.url + name}))
    assert done["Status"] == "deleted" and done["StatusMessage"].startswith("ClientError: "), done
    clean(cloud)


@pytest.mark.parametrize("container, code", [
    ({"UserBucket": {"S3Bucket": "b", "S3Key": "k"}}, "UnsupportedOperation"),
    ({"Url": "s3://bucket/key"}, "UnsupportedOperation"),
    ({"Url": "file:///etc/shadow"}, "InvalidParameterValue"),
    ({"Url": "http:///x"}, "InvalidParameterValue"),
    ({"Url": "nothing"}, "InvalidParameterValue"),
    ({"Url": "http://x/" + "y" * 3000}, "InvalidParameterValue"),
    ({"Url": "http://x/", "Format": "OVA"}, "UnsupportedOperation"),
    ({"Url": "http://x/", "Format": "VHD"}, "UnsupportedOperation"),
    ({"Url": "http://x/", "Format": "VHDX"}, "UnsupportedOperation"),
    ({"Url": "http://x/", "Format": "iso"}, "InvalidParameterValue"),
    ({}, "MissingParameter"),
])
def test_refused(cloud, container, code):
    with fails(code):
        cloud.ec2.import_snapshot(DiskContainer=container)
    with fails(code):
        cloud.ec2.import_image(DiskContainers=[container])


@pytest.mark.parametrize("options, code", [
    ({"Encrypted": True}, "UnsupportedOperation"), ({"KmsKeyId": "k"}, "UnsupportedOperation"),
    ({"Platform": "Windows"}, "UnsupportedOperation"), ({"Architecture": "arm64"}, "UnsupportedOperation"),
    ({"DiskContainers": []}, "MissingParameter"),
    ({"DiskContainers": [{"SnapshotId": "snap-00000000000000001"}]}, "InvalidSnapshot.NotFound"),
    ({"DiskContainers": [{"SnapshotId": IMAGE_SNAPSHOT, "Url": "http://x/"}]}, "InvalidParameterCombination"),
    ({"DiskContainers": [{"Url": "http://x/", "DeviceName": "/dev/sda1"}, {"Url": "http://x/", "DeviceName": "/dev/sda1"}]},
     "InvalidParameterValue"),
])
def test_images_refused(cloud, options, code):
    with fails(code):
        cloud.ec2.import_image(**dict({"DiskContainers": [{"Url": "http://127.0.0.1:1/"}]}, **options))


def test_cancel(cloud, source):
    id_ = import_image(cloud, {"Url": source.url + "disk.raw"}, {"Url": source.url + "slow"})
    wait_for(lambda: "slow" in source.asked, "it does not begin")
    answer = cloud.ec2.cancel_import_task(ImportTaskId=id_, CancelReason="no more")
    assert answer["PreviousState"] == "active" and answer["State"] == "deleting"
    assert ended(cloud.ec2, id_)["Status"] == "deleted"  # though the server has not gone on
    clean(cloud)
    with fails("IncorrectState"):
        cloud.ec2.cancel_import_task(ImportTaskId=id_)
    for wrong, code in (("import-ami-00000000000000001", "InvalidConversionTaskId"),
                        ("nothing", "InvalidConversionTaskId.Malformed")):
        with fails(code):
            cloud.ec2.cancel_import_task(ImportTaskId=wrong)


def test_progress_and_others(cloud, source):
    id_ = import_snapshot(cloud, source.url + "slow")
    wait_for(lambda: task(cloud.ec2, id_).get("StatusMessage") == "downloading", "it does not begin")
    assert task(cloud.ec2, id_)["Status"] == "active" and "Progress" in task(cloud.ec2, id_)
    assert cloud.other.describe_import_snapshot_tasks()["ImportSnapshotTasks"] == []
    with fails("InvalidConversionTaskId"):
        cloud.other.cancel_import_task(ImportTaskId=id_)
    source.go.set()
    assert ended(cloud.ec2, id_)["Status"] == "completed"
    assert [t["ImportTaskId"] for t in cloud.ec2.describe_import_snapshot_tasks(
        Filters=[{"Name": "task-state", "Values": ["completed"]}])["ImportSnapshotTasks"]] == [id_]


def test_taken_over(cloud, source):
    """Whoever worked on it is silent; what it was doing is lost, and is done anew."""
    cloud.sql("INSERT INTO import_task (id, account_id, message, runner, heard, attempts) VALUES"
              " ('import-snap-0000000000000000a', '000000000001', 'converting', 'gone', now() - interval '1 hour', 1),"
              " ('import-snap-0000000000000000b', '000000000001', 'converting', 'gone', now() - interval '1 hour', 3),"
              " ('import-snap-0000000000000000c', '000000000001', 'canceled', 'gone', now() - interval '1 hour', 1)")
    cloud.sql("UPDATE import_task SET state = 'deleting' WHERE id LIKE '%c'")
    cloud.sql("INSERT INTO import_disk (task_id, position, url) SELECT id, 0, '%sdisk.raw' FROM import_task" % source.url)
    part = cloud.state + "/store/snap-0000000000000000a.qcow2.part"
    with open(part, "w"):
        pass
    os.utime(part, (time.time() - 300,) * 2)
    import_snapshot(cloud, source.url + "missing")  # wakes the worker
    assert ended(cloud.ec2, "import-snap-0000000000000000a")["Status"] == "completed"
    lost = ended(cloud.ec2, "import-snap-0000000000000000b")
    assert lost["Status"] == "error" and lost["StatusMessage"].startswith("ServerError")
    assert ended(cloud.ec2, "import-snap-0000000000000000c")["Status"] == "deleted"
    assert not os.path.exists(part)
    check(cloud)


def test_token(cloud, source):
    one = import_snapshot(cloud, source.url + "disk.raw", ClientToken="t")
    assert import_snapshot(cloud, source.url + "disk.raw", ClientToken="t") == one
    with fails("IdempotentParameterMismatch"):
        import_snapshot(cloud, source.url + "disk.vmdk", ClientToken="t")
    assert ended(cloud.ec2, one)["Status"] == "completed"


def test_quotas(cloud, source, limit):  # noqa: F811
    limit(import_tasks=1)
    id_ = import_snapshot(cloud, source.url + "slow")
    with fails("ResourceLimitExceeded"):
        import_snapshot(cloud, source.url + "disk.raw")
    limit(snapshots=0)
    source.go.set()
    done = ended(cloud.ec2, id_)
    assert done["Status"] == "error" and "snapshots" in done["StatusMessage"], done
    clean(cloud)
    assert store(cloud) == []
