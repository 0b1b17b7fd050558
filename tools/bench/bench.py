# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of Virga against the floor that it stands on.  Run by tools/bench/run."""
import contextlib
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import xml.etree.ElementTree as tree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import balancer  # noqa: E402
import block  # noqa: E402
import cloud as clouds  # noqa: E402
import network  # noqa: E402
from wrk import wrk  # noqa: E402

BUILD = os.environ["VIRGA_BUILD"]
PACE = os.path.join(BUILD, "tools", "bench", "pace")
PROBE = os.path.join(BUILD, "tools", "bench", "libvirt-probe")
IMAGE = os.environ["VIRGA_IMAGE_MICRO"]
FAKE = {"node": {"driver": "fake", "vcpu-overcommit": "1000000", "memory-overcommit": "100000"}}


class Cloud(clouds.Cloud):
    """A cloud that is up for the time of a "with" and has the image."""

    def __init__(self, settings=None):
        super().__init__(BUILD, settings=settings)
        self.libvirt_uri = f"qemu+unix:///system?socket={self.state}/libvirt/run/libvirt-sock"

    def __enter__(self):
        self.up()
        self.import_image(IMAGE)
        return self

    def terminate_all(self):
        """Fake guests end with the state; real ones are destroyed by close()."""

    def __exit__(self, *_):
        self.close()
        shutil.rmtree(self.state, ignore_errors=True)

    def sql(self, statement):
        return subprocess.run(["runuser", "-u", "virga", "--", "psql", "-qAt", "-h", self.state + "/run", "virga",
                               "-c", statement], capture_output=True, text=True, check=True).stdout.strip()


def row(what, ours, floor, unit, limit):
    ratio = f"{ours / floor:.2f}x" if floor else "-"
    floor = f"{floor:.2f}" if floor else "-"
    print(f"| {what} | {ours:.2f} {unit} | {floor} {unit} | {ratio} | {limit} |", flush=True)


def processes(names):
    """Pids whose program has one of these names."""
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            if open(path).read().strip() in names:
                found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def cpu_s(names):
    """To the nanosecond, as the scheduler has it: the times of /proc/PID/stat are samples."""
    total = 0
    for pid in processes(names):
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                total += int(open(path).read().split()[0])
            except OSError:
                pass
    return total / 1e9


def pss_mib(names):
    total = 0
    for pid in processes(names):
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def pss_at_rest(names, deadline_s=30):
    """What they keep: large answers give their memory back within seconds."""
    end, last = time.time() + deadline_s, pss_mib(names)
    while time.time() < end:
        time.sleep(6)
        now = pss_mib(names)
        if now > last * 0.98:
            return now
        last = now
    return last


def presigned(cloud, action, **parameters):
    """A GET URL that stays valid for the whole run, so that the client costs nothing."""
    client = cloud.ec2
    url = client.generate_presigned_url(action, Params=parameters, ExpiresIn=3600, HttpMethod="GET")
    return url


def cpu_per_request(url, seconds=6, connections=4):
    names = {"virgad", "postgres"}
    before = cpu_s(names)
    requests, _ = wrk(url, connections, seconds)
    return (cpu_s(names) - before) / requests


def settled_cpu_per_request(url, connections):
    """The median of rounds: the first of them pays for what launches left behind."""
    return statistics.median(cpu_per_request(url, 4, connections) for _ in range(3))


def running(cloud, count, deadline_s=240):
    end = time.time() + deadline_s
    while time.time() < end:
        got = int(cloud.sql("SELECT count(*) FROM instance WHERE state = 'running'"))
        if got >= count:
            return
        time.sleep(0.02)
    raise SystemExit(f"{got} of {count} instances are running after {deadline_s} s")


def bench_describe():
    with Cloud(FAKE) as cloud:
        ec2 = cloud.ec2
        ami = cloud.image_id()
        first = ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        running(cloud, 1)
        one = settled_cpu_per_request(presigned(cloud, "describe_instances", InstanceIds=[first]), 4)
        row("DescribeInstances of 1 instance, CPU with PostgreSQL", one * 1e6, 0, "µs", "≤ 200 µs")
        for _ in range(9):
            ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=111, MaxCount=111)
        running(cloud, 1000)
        many = settled_cpu_per_request(presigned(cloud, "describe_instances"), 2)
        row("DescribeInstances of 1000 instances, CPU with PostgreSQL", many * 1e3, 0, "ms", "≤ 16 ms")
        names = {"virgad", "virga-node"}
        row("PSS of virgad and virga-node at 1000 instances, while all are listed", pss_mib(names), 0, "MiB", "-")
        row("PSS of virgad and virga-node at 1000 instances", pss_at_rest(names), 0, "MiB", "< 60 MiB")


# 100,000 instances of 50 accounts with what belongs to them, three tags each.  One account has half of all.
SCALE = """
INSERT INTO account (id, name) SELECT to_char(100000000000 + n, 'FM000000000000'), 'scale' FROM generate_series(1, 49) n
    ON CONFLICT DO NOTHING;
CREATE TEMP TABLE made AS SELECT n, to_char(n, 'FM0000000000000000') || 'f' AS d,
    CASE WHEN n % 2 = 0 THEN '{account}' ELSE to_char(100000000000 + n % 49 + 1, 'FM000000000000') END AS account
    FROM generate_series(1, 100000) n;
INSERT INTO instance (id, account_id, reservation_id, launch_index, image_id, type, vcpus, memory_mib, architecture,
        boot_mode, root_device_name, zone, vpc_id, subnet_id, shutdown_behavior, http_tokens, http_endpoint, http_hops,
        http_tags, wish, generation, state, claimed)
    SELECT 'i-' || d, account, 'r-' || substr(md5(d), 1, 17), 0, 'ami-00000000000000000', 't3.nano', 2, 512, 'x86_64',
        'legacy-bios', '/dev/xvda', 'us-east-1a', vpc.id, subnet.id, 'stop', 'optional', 'enabled', 1, 'disabled',
        'stop', 0, 'stopped', false FROM made, (SELECT id FROM vpc LIMIT 1) vpc,
        (SELECT id FROM subnet LIMIT 1) subnet;
INSERT INTO network_interface (id, account_id, vpc_id, subnet_id, zone, mac, address, attachment_id, instance_id,
        device_index, attached)
    SELECT 'eni-' || d, account, vpc.id, subnet.id, 'us-east-1a', 'scale-' || n, inet '10.0.0.0' + n,
        'eni-attach-' || d, 'i-' || d, 0, now() FROM made, (SELECT id FROM vpc LIMIT 1) vpc,
        (SELECT id FROM subnet LIMIT 1) subnet;
INSERT INTO network_interface_group (interface_id, group_id, position)
    SELECT 'eni-' || d, g.id, 1 FROM made, (SELECT id FROM security_group LIMIT 1) g;
INSERT INTO volume (id, account_id, zone, size_gib, type, made)
    SELECT 'vol-' || d, account, 'us-east-1a', 8, 'gp2', true FROM made;
INSERT INTO volume_attachment (volume_id, account_id, instance_id, device, delete_on_termination)
    SELECT 'vol-' || d, account, 'i-' || d, '/dev/xvda', true FROM made;
INSERT INTO tag (resource_id, key, value, account_id, resource_type)
    SELECT 'i-' || d, key, value, account, 'instance' FROM made,
        LATERAL (VALUES ('Name', 'n' || n), ('team', 't' || n / 200), ('stage', 'test')) tag (key, value);
ANALYZE;
"""


def p99_ms(url, count):
    took = sorted(paced(url, 100, count // 100))
    return took[int(len(took) * 0.99)] * 1e3


def bench_scale():
    with Cloud(FAKE) as cloud:
        ec2 = cloud.ec2
        ec2.run_instances(ImageId=cloud.image_id(), InstanceType="t3.nano", MinCount=1, MaxCount=1)
        running(cloud, 1)
        cloud.sql(SCALE.format(account=clouds.ACCOUNT))
        before = pss_mib({"virgad"})
        by_id = presigned(cloud, "describe_instances", InstanceIds=["i-" + "%016d" % 50000 + "f"])
        row("100,000 instances: DescribeInstances by id, p99", p99_ms(by_id, 500), 0, "ms", "< 20 ms")
        by_tag = presigned(cloud, "describe_instances", Filters=[{"Name": "tag:team", "Values": ["t250"]}])
        row("100,000 instances: by a tag that 100 have, p99", p99_ms(by_tag, 300), 0, "ms", "< 50 ms")
        took, token = [], {}
        while "NextToken" in token or not took:
            begin = time.perf_counter()
            page = ec2.describe_instances(MaxResults=1000, **token)
            took.append(time.perf_counter() - begin)
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else {"end": True}
        pages = len(took)
        first = paced(presigned(cloud, "describe_instances", MaxResults=1000), 5, 4)
        row(f"100,000 instances: a page of 1000 (of {pages}), p99", max(first) * 1e3, 0, "ms", "< 150 ms")
        row("PSS of virgad afterwards", pss_at_rest({"virgad"}), before, "MiB", "flat")


def bench_burst():
    with Cloud(FAKE) as cloud:
        ec2 = cloud.ec2
        ami = cloud.image_id()
        begin = time.time()
        for _ in range(10):
            ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=50, MaxCount=50)
        running(cloud, 500)
        rate = 500 / (time.time() - begin)
        row("Instances to running, fake driver, calls of 50", rate, 0, "/s", "≥ 100/s")
        cloud.sql("SELECT 1")
        begin = time.time()
        for _ in range(200):
            ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1)
        running(cloud, 700)
        row("Instances to running, fake driver, one a call", 200 / (time.time() - begin), 0, "/s", "≥ 100/s")


def paced(url, rate, seconds):
    """Latencies in s of calls that begin at a steady rate: none waits for what the one before it caused."""
    url = urllib.parse.urlsplit(url)
    output = subprocess.run([PACE, url.hostname, str(url.port), f"{url.path}?{url.query}", str(rate), str(rate * seconds)],
                            capture_output=True, text=True, check=True).stdout
    return [int(line) / 1e6 for line in output.split()]


def bench_accept():
    """Calls on one connection at a steady rate, in turns with durable INSERTs at the same rate."""
    rate = 40
    with Cloud(FAKE) as cloud, tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        url = presigned(cloud, "run_instances", ImageId=cloud.image_id(), InstanceType="t3.nano",
                        MinCount=1, MaxCount=1, ClientToken="")  # no token: each is a launch
        cloud.sql("CREATE TABLE bench (id bigserial PRIMARY KEY, t text)")
        script = os.path.join(directory, "insert.sql")
        with open(script, "w") as file:
            file.write("INSERT INTO bench (t) VALUES ('one durable row');\n")
        run, insert = [], []
        for _ in range(6):
            run += paced(url, rate, 2)
            output = subprocess.run(["runuser", "-u", "virga", "--", "/usr/lib/postgresql/15/bin/pgbench", "-n",
                                     "-M", "prepared", "-T", "2", "-R", str(rate), "-f", script, "-l", "--log-prefix",
                                     cloud.state + "/run/bench", "-h", cloud.state + "/run", "virga"],
                                    capture_output=True, text=True)
            if output.returncode:
                raise SystemExit(output.stderr)
            for path in glob.glob(cloud.state + "/run/bench.*"):
                for line in open(path):
                    fields = line.split()
                    insert.append((int(fields[2]) - int(fields[6])) / 1e6)  # without the wait for its turn
                os.unlink(path)
        row(f"RunInstances accepted, p50 against one durable INSERT, {rate}/s", statistics.median(run) * 1e3,
            statistics.median(insert) * 1e3, "ms", "≤ 4x")


HELLO = """
global
    nbthread 2
    maxconn 2000
defaults
    mode http
    timeout client 60s
    timeout connect 5s
    timeout server 60s
frontend hello
    bind 127.0.0.1:8079
    http-request return status 200 content-type text/plain string "hello, world"
"""


@contextlib.contextmanager
def bare_server(directory):
    """The URL of an HAProxy that answers by itself: what more connections cost any server, and wrk."""
    path = os.path.join(directory, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(HELLO)
    server = subprocess.Popen(["haproxy", "-q", "-f", path])
    try:
        url = "http://127.0.0.1:8079/"
        clouds.wait_for(lambda: subprocess.run(["curl", "-sf", url], capture_output=True).returncode == 0, 10, "HAProxy")
        yield url
    finally:
        server.terminate()
        server.wait()


def bench_connections():
    """Short rounds in turns: what else the machine does in one of them meets one side alone."""
    rounds, base = 5, 32
    with Cloud(FAKE) as cloud, tempfile.TemporaryDirectory() as directory, bare_server(directory) as bare:
        ours = presigned(cloud, "describe_regions")
        for connections in (128, 192, 512):
            rates = {(url, count): [] for url in (ours, bare) for count in (base, connections)}
            for _ in range(rounds):
                for (url, count), found in rates.items():
                    found.append(wrk(url, count, 1)[1])
            medians = {key: statistics.median(found) for key, found in rates.items()}
            row(f"Requests at {connections} connections against {base}", medians[ours, connections], medians[ours, base],
                "/s", "full: as HAProxy, %.2fx" % (medians[bare, connections] / medians[bare, base]))


def tap(name):
    subprocess.run(["ip", "tuntap", "add", name, "mode", "tap", "user", "libvirt-qemu"], check=True)


def bare_domain(cloud, instance_id, directory):
    """The same domain with another name, disk and tap."""
    xml = subprocess.run(["virsh", "-c", cloud.libvirt_uri, "dumpxml", "--inactive", instance_id],
                         capture_output=True, text=True, check=True).stdout
    domain = tree.fromstring(xml)
    domain.find("name").text = "bare"
    domain.find("uuid").text = "ec200000-0000-4000-8000-000000000001"
    for entry in domain.iter("entry"):
        if entry.get("name") in ("uuid", "serial"):
            entry.text = "ec200000-0000-4000-8000-000000000001"
    source = domain.find("devices/disk/source")
    backing = json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", source.get("file")],
                                        capture_output=True, text=True, check=True).stdout)["full-backing-filename"]
    disk = os.path.join(directory, "bare.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, disk, "1G"], check=True)
    source.set("file", disk)
    domain.find("devices/serial/source").set("path", os.path.join(directory, "bare.log"))
    for console in domain.findall("devices/console"):
        domain.find("devices").remove(console)
    domain.find("devices/interface/target").set("dev", "bare0")
    domain.find("devices/interface/mac").set("address", "02:00:00:00:00:99")
    for element in domain.iter():
        for alias in element.findall("alias"):
            element.remove(alias)
    path = os.path.join(directory, "bare.xml")
    tree.ElementTree(domain).write(path)
    tap("bare0")
    return path


class Watch:
    """When domains begin to run, by libvirt's own events."""

    def __init__(self, uri):
        self.process = subprocess.Popen([PROBE, uri, "watch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen, self.changed = {}, threading.Condition()
        assert self.process.stdout.readline() == "ready\n"
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            name, when = line.split()
            with self.changed:
                self.seen[name] = int(when) / 1e6
                self.changed.notify_all()

    def when(self, name):
        with self.changed:
            if not self.changed.wait_for(lambda: name in self.seen, 60):
                raise SystemExit(f"{name} does not run after 60 s")
            return self.seen[name]

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def bench_launch():
    with Cloud() as cloud, tempfile.TemporaryDirectory(dir="/var/lib/virga") as directory:
        os.chmod(directory, 0o755)
        ec2 = cloud.ec2
        ami = cloud.image_id()
        # The first launch fetches the base image and makes the VPC; it stays, so that the VPC does.
        keeper = ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        ec2.get_waiter("instance_running").wait(InstanceIds=[keeper], WaiterConfig={"Delay": 1})
        ec2.stop_instances(InstanceIds=[keeper], Force=True)
        ec2.get_waiter("instance_stopped").wait(InstanceIds=[keeper], WaiterConfig={"Delay": 1})
        ec2.start_instances(InstanceIds=[keeper])
        ec2.get_waiter("instance_running").wait(InstanceIds=[keeper], WaiterConfig={"Delay": 1})
        path = bare_domain(cloud, keeper, directory)
        os.kill(cloud.guest_pid(keeper), signal.SIGSTOP)  # its emulation shall not disturb the clock
        watch = Watch(cloud.libvirt_uri)
        ours, floor = [], []
        for _ in range(12):
            floor.append(float(subprocess.run([PROBE, cloud.libvirt_uri, "bare", path], capture_output=True,
                                              text=True, check=True).stdout))
            accepted = None
            answer = ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1)
            accepted = time.time()
            one = answer["Instances"][0]["InstanceId"]
            ours.append((watch.when(one) - accepted) * 1e3)
            ec2.terminate_instances(InstanceIds=[one])
            ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig={"Delay": 1})
        watch.end()
        os.kill(cloud.guest_pid(keeper), signal.SIGCONT)
        row("RunInstances accepted to domain running, p50 against virDomainCreateXML",
            statistics.median(ours), statistics.median(floor), "ms", "≤ 1.3x")


def bench_block():
    block.run(Cloud, FAKE, row, processes, cpu_s)


BENCHES = {"launch": bench_launch, "describe": bench_describe, "accept": bench_accept,
           "burst": bench_burst, "scale": bench_scale, "connections": bench_connections,
           "network": network.run, "balancer": balancer.run, "block": bench_block}


def main():
    wanted = [name for name in sys.argv[1:] if name != "all"] or list(BENCHES)
    for name in wanted:
        if name not in BENCHES:
            raise SystemExit(f"bench: there is no \"{name}\": {', '.join(BENCHES)}")
    print("| what | Virga | floor | ratio | goal |\n|---|---|---|---|---|", flush=True)
    for name in wanted:
        BENCHES[name]()


if __name__ == "__main__":
    main()
