# SPDX-License-Identifier: Apache-2.0
"""The smallest Ceph there is: one monitor, one manager, one OSD, all of them in this host.

Its data lie in a folder and go with it; its daemons end with the host, or by stop()."""
import os
import signal
import subprocess
import uuid

from conftest import run, wait_for


def output_of(*command, deadline_s=60, **options):
    return run(list(command), deadline_s=deadline_s, **options).stdout

CONF = """\
[global]
fsid = {fsid}
mon host = {address}
public addr = {ip}
cluster addr = {ip}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
crash dir = {folder}/crash
mon allow pool size one = true
mon allow pool delete = true
mon osd min up ratio = 0
mon data avail warn = 1
mon data avail crit = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
[mon.a]
mon data = {folder}/mon
mon initial members = a
[mgr.a]
mgr data = {folder}/mgr
keyring = {folder}/mgr/keyring
mgr initial modules =
[osd.0]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
osd objectstore = bluestore
osd memory target = 939524096
bluestore block size = 8589934592
bluestore cache size = 67108864
bluestore cache autotune = false
osd fast shutdown = true
"""


class Ceph:
    """A running cluster with one pool, and a user who may keep images there."""

    def __init__(self, folder, ip="127.0.0.1", pool="virga", user="virga"):
        self.folder, self.ip, self.pool, self.user = str(folder), ip, pool, user
        self.monitors = ip + ":3300"
        self.conf = self.folder + "/ceph.conf"
        self.key_file = self.folder + "/%s.key" % user
        self.daemons = {}
        for name in ("mon", "mgr", "osd", "crash"):
            os.makedirs(self.folder + "/" + name)
        with open(self.conf, "w") as file:
            file.write(CONF.format(fsid=uuid.uuid4(), ip=ip, folder=self.folder,
                                   address="[v2:%s:3300,v1:%s:6789]" % (ip, ip)))
        self.fsid = output_of("ceph-conf", "-c", self.conf, "--lookup", "fsid").strip()
        try:
            self._make_monitor()
            self._make_manager()
            self._make_osd()
            self._make_pool()
        except BaseException:
            self.stop()
            raise

    def ceph(self, *arguments, deadline_s=60, **options):
        return output_of("ceph", "-c", self.conf, "--connect-timeout", "20", *arguments,
                         deadline_s=deadline_s, **options)

    def rbd(self, *arguments):
        """As its administrator."""
        return output_of("rbd", "-c", self.conf, "-p", self.pool, *arguments)

    def images(self):
        return sorted(self.rbd("ls").split())

    def start(self, name):
        """A daemon of one kind, in the foreground of its own process."""
        kind, ident = name.split(".")
        with open("%s/%s.out" % (self.folder, name), "ab") as output:
            self.daemons[name] = subprocess.Popen(
                ["ceph-" + kind, "-c", self.conf, "-i", ident, "-f"], stdout=output,
                stderr=output, stdin=subprocess.DEVNULL)

    def kill(self, name):
        self.daemons[name].kill()
        self.daemons.pop(name).wait()

    def stop(self):
        for process in self.daemons.values():
            process.send_signal(signal.SIGKILL)
        for process in self.daemons.values():
            process.wait()
        self.daemons = {}

    def _key(self, keyring, name, *caps):
        output_of("ceph-authtool", *([] if os.path.exists(keyring) else ["-C"]), keyring, "--gen-key",
            "-n", name, *caps)
        return output_of("ceph-authtool", "-p", "-n", name, keyring).strip()

    def _make_monitor(self):
        keyring, monmap = self.folder + "/keyring", self.folder + "/monmap"
        self._key(keyring, "mon.", "--cap", "mon", "allow *")
        self._key(keyring, "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *",
                  "--cap", "mgr", "allow *")
        output_of("monmaptool", "--create", "--clobber", "--fsid", self.fsid, "--addv", "a",
            "[v2:%s:3300,v1:%s:6789]" % (self.ip, self.ip), monmap)
        output_of("ceph-mon", "-c", self.conf, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring",
            keyring)
        self.start("mon.a")

    def _make_manager(self):
        self.ceph("auth", "get-or-create", "mgr.a", "mon", "allow profile mgr", "osd", "allow *",
                  "-o", self.folder + "/mgr/keyring")
        self.start("mgr.a")

    def _make_osd(self):
        ident = str(uuid.uuid4())
        key = self._key(self.folder + "/osd/keyring", "osd.0")
        self.ceph("osd", "new", ident, "-i", "-", input='{"cephx_secret": "%s"}' % key)
        output_of("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", ident, "--keyring",
            self.folder + "/osd/keyring", deadline_s=120)
        self.start("osd.0")
        wait_for(lambda: "1 up" in self.ceph("osd", "stat"), 60, "the OSD to be up")

    def _make_pool(self):
        self.ceph("osd", "pool", "create", self.pool, "8", "8", "replicated")
        self.ceph("osd", "pool", "application", "enable", self.pool, "rbd")
        wait_for(lambda: "active+clean" in self.ceph("pg", "stat"), 60, "the pool's groups")
        self.rbd("pool", "init", self.pool)
        self.ceph("auth", "get-or-create", "client." + self.user, "mon", "profile rbd", "osd",
                  "profile rbd pool=" + self.pool, "mgr", "profile rbd pool=" + self.pool)
        key = self.ceph("auth", "get-key", "client." + self.user)
        descriptor = os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, key.encode())
        os.close(descriptor)
