# SPDX-License-Identifier: Apache-2.0
"""Volumes against the same files used bare."""
import os
import statistics
import subprocess
import tempfile

from conftest import wait_for

ROUNDS = 4
SECONDS = 2
SPAN_MIB = 256  # see disk-load.c
CHANGED_MIB = 64


def program(name):
    return os.path.join(os.environ["VIRGA_BUILD"], "tools", "bench", name)


def lines(*words):
    done = subprocess.run([program(words[0])] + list(words[1:]), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(line) for line in done.stdout.split()]


class Guest:
    def __init__(self, cloud):
        self.cloud, self.id = cloud, cloud.launch()
        cloud.wait_ssh(self.id)
        with open(program("disk-load"), "rb") as file:
            subprocess.run(["ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                            "LogLevel=ERROR", "-i", cloud.key, "root@" + cloud.address(self.id),
                            "cat >/tmp/disk-load; chmod 755 /tmp/disk-load"], stdin=file, check=True)

    def run(self, command):
        return self.cloud.ssh(self.id, command, deadline_s=600)

    def disk(self, serial):
        found = wait_for(lambda: self.run("grep -l %s /sys/block/*/serial || true" % serial), 60, "disk", 0.2)
        return "/dev/" + found.split("/")[3]

    def attach(self, **options):
        zone = self.cloud.env["AWS_DEFAULT_REGION"] + "a"
        volume = self.cloud.ec2.create_volume(AvailabilityZone=zone, **options)["VolumeId"]
        self.cloud.ec2.attach_volume(VolumeId=volume, InstanceId=self.id, Device="/dev/sdf")
        return volume, self.disk(volume.replace("-", ""))

    def bare(self, directory):
        """A file that libvirt is given, and nobody else knows."""
        path = os.path.join(directory, "bare.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "128G"], check=True)
        xml = os.path.join(directory, "bare.xml")
        with open(xml, "w") as file:
            file.write("<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/><source file='%s'/>"
                       "<target dev='vdz' bus='virtio'/><serial>bare</serial></disk>" % path)
        self.cloud.virsh("attach-device", self.id, xml, "--live")
        return self.disk("bare")


def bench_io(cloud, row):
    guest = Guest(cloud)
    # A type whose limits are out of reach, and still asked at each request.
    _, ours = guest.attach(Size=128, VolumeType="io2", Iops=64000)
    with tempfile.TemporaryDirectory(dir=cloud.state) as directory:
        os.chmod(directory, 0o755)
        floor = guest.bare(directory)
        for disk in (ours, floor):
            guest.run("dd if=/dev/zero of=%s bs=1M count=%d conv=fsync 2>/dev/null" % (disk, SPAN_MIB))
        for what, size, order in (("4 KiB random", 4096, "random"), ("1 MiB sequential", 1 << 20, "along")):
            for verb in ("read", "write"):
                rates = {ours: [], floor: []}
                for number in range(ROUNDS * 2):
                    for disk in (ours, floor) if number % 2 else (floor, ours):
                        rates[disk].append(float(guest.run("/tmp/disk-load %s %s %d %s %d" % (disk, verb, size, order, SECONDS))))
                row("%ss of %s in a guest, against the same file bare" % (verb.capitalize(), what),
                    statistics.median(rates[ours]), statistics.median(rates[floor]), "/s", "≥ 0.95x")
        cloud.virsh("detach-device", guest.id, os.path.join(directory, "bare.xml"), "--live")
        wait_for(lambda: not guest.run("grep -l bare /sys/block/*/serial || true"), 60, "end of the bare disk", 0.2)
    cloud.ec2.terminate_instances(InstanceIds=[guest.id])


def rchar(names, processes):
    """Bytes that these have read, with the children that they waited for."""
    total = 0
    for pid in processes(names):
        with open("/proc/%d/io" % pid) as file:
            total += int(file.readline().split()[1])
    return total


def bench_snapshot(cloud, row, processes):
    """A volume of 10 GiB of which 1 GiB is written; then 64 MiB of it, in pieces of 1 MiB, anew."""
    guest = Guest(cloud)
    volume, disk = guest.attach(Size=10, VolumeType="io2", Iops=5000)
    guest.run("i=0; while [ $i -lt 1024 ]; do dd if=/dev/urandom of=%s bs=1M count=1 seek=$((i * 10)) conv=notrunc 2>/dev/null;"
              " i=$((i + 64)); done; dd if=/dev/zero of=%s bs=1M count=1024 conv=fsync 2>/dev/null" % (disk, disk))

    def snapshot():
        id_ = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        wait_for(lambda: cloud.ec2.describe_snapshots(SnapshotIds=[id_])["Snapshots"][0]["State"] == "completed", 300,
                 "snapshot", 0.1)
        return os.path.getsize("%s/store/%s.qcow2" % (cloud.state, id_)) / (1 << 20)
    snapshot()
    guest.run("i=0; while [ $i -lt %d ]; do dd if=/dev/urandom of=%s bs=1M count=1 seek=$((i * 16)) conv=notrunc 2>/dev/null;"
              " i=$((i + 1)); done; sync" % (CHANGED_MIB, disk))
    before = rchar({"virga-node"}, processes)
    stored = snapshot()
    read = (rchar({"virga-node"}, processes) - before) / (1 << 20)
    row("Bytes read by a snapshot of %d changed MiB in 10 GiB" % CHANGED_MIB, read, CHANGED_MIB, "MiB", "≤ 1.1x")
    row("Bytes stored by it", stored, CHANGED_MIB, "MiB", "≤ 1.1x")
    cloud.ec2.terminate_instances(InstanceIds=[guest.id])


def bench_make(row):
    """The bytes of an image make no difference once it is there."""
    medians = {}
    for mib in (64, 2048):
        with tempfile.TemporaryDirectory(dir="/var/lib/virga") as directory:
            image = os.path.join(directory, "image.qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "4G"], check=True)
            for at in range(0, mib, 64):
                subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P %d %dM 64M" % (at % 250 + 1, at), image], check=True)
            medians[mib] = statistics.median(lines("volume-probe", directory, "make", image, "15"))
    row("Disk of a cached image of 2 GiB, against one of 64 MiB", medians[2048], medians[64], "ms", "< 50 ms, 1x")


def bench_many(cloud_class, settings, row, cpu_s):
    with tempfile.TemporaryDirectory(dir="/var/lib/virga") as directory:
        row("1000 volumes listed and looked at by their host, CPU", lines("volume-probe", directory, "list", "1000")[0], None,
            "ms", "≤ 1000 ms")
    with cloud_class(settings) as cloud:
        image = cloud.image_id()
        answer = cloud.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=100, MaxCount=100, BlockDeviceMappings=[
            {"DeviceName": "/dev/sd" + letter, "Ebs": {"VolumeSize": 1}} for letter in "fghijklmn"])
        ids = [instance["InstanceId"] for instance in answer["Instances"]]
        wait_for(lambda: all(i["State"]["Name"] == "running" for r in cloud.ec2.describe_instances(InstanceIds=ids)["Reservations"]
                             for i in r["Instances"]), 120, "instances", 0.5)
        names = {"virgad", "virga-node", "postgres"}
        before = cpu_s(names - {"virga-node"})  # the new one begins with nothing
        former = cloud.kill("virga-node")
        wait_for(lambda: cloud.pid("virga-node") not in (None, former), 60, "virga-node")
        wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "host", 0.5)
        used = cpu_s(names) - before
        volumes = cloud.ec2.describe_volumes()["Volumes"]
        assert len(volumes) == 1000, len(volumes)
        before = cpu_s(names)
        for _ in range(10):
            cloud.ec2.describe_volumes()
        row("1000 volumes: reconciled by a virga-node that begins, CPU of all daemons", used * 1e3, None, "ms", "≤ 1000 ms")
        row("1000 volumes: DescribeVolumes, CPU of all daemons", (cpu_s(names) - before) * 100, None, "ms", "≤ 1000 ms")


def run(cloud_class, settings, row, processes, cpu_s):
    bench_make(row)
    bench_many(cloud_class, settings, row, cpu_s)
    with cloud_class() as cloud:
        bench_io(cloud, row)
        bench_snapshot(cloud, row, processes)
