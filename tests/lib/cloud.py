# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in a simulated host, driven as its users do: by "virga" and by AWS clients.

    def test_launch(cloud):
        instance = cloud.launch()
        cloud.wait_ssh(instance)
        assert cloud.ssh(instance, "hostname").startswith("ip-")
"""
import contextlib
import json
import os
import pwd
import shutil
import signal
import tempfile
import time

from conftest import run, wait_for

ACCOUNT = "123456789012"
SSH_OPTIONS = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]
DAEMONS = ("postgresql", "libvirtd", "virgad", "virga-node")


class Cloud:
    """One state directory.  up() and down() may be called any number of times; close() ends what
    remains.  'settings' is {group: {key: value}} of its configuration file."""

    # Settings of a cloud whose guests only pretend, and of which any number fits.
    FAKE = {"node": {"driver": "fake", "vcpu-overcommit": 10000, "memory-overcommit": 1000,
                     "memory-reserved-mib": 0, "disk-reserved-gib": 0}}

    def __init__(self, build_dir, state="/var/lib/virga", settings=None):
        self.virga_path = os.path.join(build_dir, "tools", "virga")
        self.state = state
        self.directory = tempfile.mkdtemp(prefix="cloud.")
        os.chmod(self.directory, 0o755)  # virgad, another user, reads the configuration
        self.config = os.path.join(self.directory, "virga.conf")
        self.key = os.path.join(self.directory, "key")
        self.env = None
        self.clients = {}
        self.configure(settings or {})

    def configure(self, settings):
        with open(self.config, "w") as file:
            for group, keys in settings.items():
                file.write("[%s]\n" % group)
                for key, value in keys.items():
                    file.write("%s = %s\n" % (key, value))

    # ---- the operator's command ----

    def virga(self, *arguments, check=True, deadline_s=240, **options):
        """Runs "virga ARGUMENTS" for this cloud; the CompletedProcess."""
        return run([self.virga_path] + list(arguments) + ["--state", self.state, "--config", self.config],
                   deadline_s=deadline_s, check=check, **options)

    def up(self, *options):
        """Starts the cloud and points AWS clients of this object at it."""
        done = self.virga("up", "--account", ACCOUNT, *options)
        self.env = self.read_env()
        self.clients = {}
        return done

    def down(self, *options):
        return self.virga("down", *options)

    def status(self):
        """virgad's own answer."""
        return json.loads(self.virga("status", "--json", check=False).stdout)

    def read_env(self):
        """What "virga env" makes of an empty environment."""
        text = self.virga("env").stdout
        shown = run(["env", "-i", "PATH=/usr/bin:/bin", "HOME=" + self.directory, "LC_ALL=C.UTF-8",
                     "sh", "-c", text + "\nexec env"]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def leaks(self):
        """The lines of "virga doctor --leaks"; empty if there are none."""
        done = self.virga("doctor", "--leaks", check=False)
        assert done.returncode in (0, 1), done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("leak: ")]

    def wait_no_leaks(self, deadline_s=60):
        """Hosts take away what nothing holds any more a moment after the answer that says so."""
        found = []

        def none():
            found[:] = self.leaks()
            return not found
        try:
            wait_for(none, deadline_s, "end of the leaks", 0.5)
        except TimeoutError as error:
            raise AssertionError("%s: %s" % (error, "; ".join(found)))

    def pid(self, daemon):
        """The process of one of DAEMONS, or of the supervisor ("supervise"); None if it does not
        run."""
        try:
            with open(os.path.join(self.state, "supervise", daemon + ".pid")) as file:
                pid, started = file.read().split()[:2]
            with open("/proc/%s/stat" % pid) as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, ValueError):
            return None
        return int(pid) if fields[19] == started and fields[0] != "Z" else None

    def kill(self, daemon, number=signal.SIGKILL):
        """Sends a signal to a daemon and returns the pid that it had."""
        pid = self.pid(daemon)
        assert pid, "%s does not run" % daemon
        os.kill(pid, number)
        return pid

    def sql(self, statement):
        """Changes the cloud's own database; as what the test is about, never to get along."""
        folder = os.path.join(self.state, "run")
        owner = pwd.getpwuid(os.stat(os.path.join(folder, ".s.PGSQL.5432")).st_uid)
        return run(["setpriv", "--reuid", str(owner.pw_uid), "--regid", str(owner.pw_gid), "--clear-groups", "psql", "-XAtq",
                    "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", owner.pw_name, "-d", "virga", "-c", statement]).stdout

    def log(self, daemon):
        with open(os.path.join(self.state, "log", daemon + ".log")) as file:
            return file.read()

    # ---- AWS clients ----

    def aws(self, *arguments, check=True, deadline_s=120):
        """Debian's aws-cli; JSON of its answer, or the CompletedProcess if 'check' is False."""
        done = run(["/usr/bin/aws"] + list(arguments) + ["--output", "json"], env=self.env,
                   deadline_s=deadline_s, check=check)
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def client(self, service, **options):
        """A boto3 client; by default it asks each time only once."""
        import boto3
        from botocore.config import Config
        name = service if not options else None
        if name not in self.clients or not name:
            options.setdefault("config", Config(retries={"total_max_attempts": 1}))
            options.setdefault("endpoint_url", self.env["AWS_ENDPOINT_URL"])
            options.setdefault("region_name", self.env["AWS_DEFAULT_REGION"])
            options.setdefault("aws_access_key_id", self.env["AWS_ACCESS_KEY_ID"])
            options.setdefault("aws_secret_access_key", self.env["AWS_SECRET_ACCESS_KEY"])
            client = boto3.client(service, **options)
            if not name:
                return client
            self.clients[name] = client
        return self.clients[name]

    @property
    def ec2(self):
        return self.client("ec2")

    @property
    def sts(self):
        return self.client("sts")

    # ---- instances ----

    def import_image(self, path, name="micro", *options):
        return self.virga("image", "import", name, path, *options).stdout.strip()

    def empty_image(self):
        """The path of a disk that pretending guests can have."""
        path = os.path.join(self.directory, "empty.raw")
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        return path

    def image_id(self, name="micro"):
        return self.ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"][0]["ImageId"]

    def key_pair(self, name="test"):
        """Makes the key pair if it is not there, and lets SSH into the default group."""
        if not os.path.exists(self.key):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key])
        pairs = self.ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])
        if not pairs["KeyPairs"]:
            with open(self.key + ".pub", "rb") as file:
                self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=file.read())
            self.open_port(22)
        return name

    def open_port(self, port, protocol="tcp", group="default"):
        from botocore.exceptions import ClientError
        try:
            self.ec2.authorize_security_group_ingress(
                GroupName=group, IpProtocol=protocol, FromPort=port, ToPort=port, CidrIp="0.0.0.0/0")
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidPermission.Duplicate":
                raise

    def launch(self, wait=True, **options):
        """One instance of the micro image, or of what 'options' (of RunInstances) say: its id."""
        options.setdefault("ImageId", self.image_id())
        options.setdefault("InstanceType", "t3.nano")
        options.setdefault("KeyName", self.key_pair())
        options.setdefault("MinCount", 1)
        options.setdefault("MaxCount", 1)
        instance = self.ec2.run_instances(**options)["Instances"][0]["InstanceId"]
        if wait:
            self.wait_state(instance, "running")
        return instance

    def describe(self, instance):
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def state_of(self, instance):
        return self.describe(instance)["State"]["Name"]

    def wait_state(self, instance, state, deadline_s=90):
        def there():
            seen = self.describe(instance)
            name = seen["State"]["Name"]
            assert name == state or name not in ("terminated",), \
                "%s is %s: %s" % (instance, name, seen.get("StateReason"))
            return name == state
        wait_for(there, deadline_s, "state %s of %s" % (state, instance), 0.2)

    def address(self, instance):
        return self.describe(instance)["PublicIpAddress"]

    def ssh(self, instance, command, check=True, deadline_s=30, user="root"):
        """Runs a command in the guest and returns what it wrote."""
        done = run(["ssh"] + SSH_OPTIONS + ["-i", self.key, "%s@%s" % (user, self.address(instance)), command],
                   check=check, deadline_s=deadline_s)
        return done.stdout if check else done

    def wait_ssh(self, instance, deadline_s=120, user="root"):
        def answers():
            return self.ssh(instance, "true", check=False, user=user).returncode == 0
        try:
            wait_for(answers, deadline_s, "login on " + instance, 0.5)
        except TimeoutError as error:
            raise AssertionError("%s; its console ends:\n%s" % (error, self.console(instance)[-2000:]))

    def boot_id(self, instance):
        """Of the guest's present boot; None if it does not answer."""
        done = self.ssh(instance, "cat /proc/sys/kernel/random/boot_id", check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def reboot(self, instance, deadline_s=120):
        """Returns when the guest has booted anew; before, it may answer for a while."""
        before = self.boot_id(instance)
        assert before
        self.ec2.reboot_instances(InstanceIds=[instance])
        self.wait_boot(instance, before, deadline_s)

    def wait_boot(self, instance, former, deadline_s=120):
        """Returns when the guest's boot is another than that of the boot_id() 'former'."""
        wait_for(lambda: self.boot_id(instance) not in (None, former), deadline_s, "boot of " + instance, 0.5)

    def console(self, instance):
        """The serial console's log as the host has it."""
        try:
            with open("%s/node/console/%s.log" % (self.state, instance), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def ask(self, call, deadline_s=30):
        """Makes a request as a patient client does: what failed for the cloud's sake is asked again."""
        from botocore.exceptions import BotoCoreError, ClientError
        end = time.monotonic() + deadline_s
        while True:
            try:
                return call()
            except BotoCoreError as error:
                failure = error
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
                failure = error
            if time.monotonic() > end:
                raise failure
            time.sleep(0.2)

    def virsh(self, *arguments, check=True):
        uri = "qemu+unix:///system?socket=%s/libvirt/run/libvirt-sock" % self.state
        return run(["virsh", "-q", "-c", uri] + list(arguments), check=check).stdout

    def guest_pid(self, instance):
        """QEMU's process."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"qemu-system" in words[0] and any(word.startswith(b"guest=" + instance.encode())
                                                  for word in words):
                return int(pid)
        return None

    # ---- the end ----

    def terminate_all(self):
        """Ends every instance, as far as the cloud still can."""
        found = self.ec2.describe_instances(Filters=[{
            "Name": "instance-state-name",
            "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]}])
        ids = [instance["InstanceId"] for reservation in found["Reservations"]
               for instance in reservation["Instances"]]
        if ids:
            self.ec2.terminate_instances(InstanceIds=ids)
            for instance in ids:
                self.wait_state(instance, "terminated", 60)

    def delete_gateways(self):
        """What keeps a VPC on its host without any guest: NAT gateways and load balancers."""
        for balancer in self.client("elbv2").describe_load_balancers()["LoadBalancers"]:
            self.client("elbv2").delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        for gateway in self.ec2.describe_nat_gateways(
                Filters=[{"Name": "state", "Values": ["pending", "available"]}])["NatGateways"]:
            self.ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])

    def settle(self):
        """Waits until the host has taken away the networks of what was terminated.  It does so a
        moment later, and no other cloud will when this one's state is gone."""
        def settled():
            return not [leak for leak in self.leaks() if "network namespace" in leak]
        wait_for(settled, 60, "end of all networks", 0.2)

    def close(self):
        """The test is over: guests end, and the state is removed."""
        try:
            if self.env and self.pid("virgad"):
                self.terminate_all()
                self.delete_gateways()
                if self.pid("virga-node"):
                    self.settle()
        finally:
            if os.path.isdir(self.state):
                if self.pid("libvirtd"):
                    for name in self.virsh("list", "--name", check=False).split():
                        self.virsh("destroy", name, check=False)
                self.virga("down", check=False)
            shutil.rmtree(self.directory, ignore_errors=True)
            if "VIRGA_HOST" in os.environ:  # never a real one
                shutil.rmtree(self.state, ignore_errors=True)


@contextlib.contextmanager
def running_cloud(build_dir, image=None, **options):
    """A Cloud that is up, with "image" as its image "micro" if there is one, until the end of the block."""
    cloud = Cloud(build_dir, **options)
    try:
        cloud.up()
        if image:
            cloud.import_image(image)
        yield cloud
    finally:
        cloud.close()
