# SPDX-License-Identifier: Apache-2.0
"""Guests with an agent are frozen for the moment of a snapshot, and never left so.

The agent is a shell script that speaks as much of QEMU's protocol as libvirt asks for.  It holds a
file system really, so that what was not written out before is in the snapshot or not."""
import threading

import pytest

from conftest import run, wait_for
from test_snapshots import attach, drop, wait_completed

AGENT = r"""cat >/tmp/agent <<'END'
answer() { printf '{"return": %s}\n' "$1" >&3; }
for name in /sys/class/virtio-ports/*/name; do
    grep -q org.qemu.guest_agent.0 $name && port=${name%/name}
done
exec 3<>/dev/${port##*/}
while :; do
    read -r line <&3 || { sleep 0.2; continue; }  # nobody at the other end
    case $line in
    *guest-sync*) answer "$(echo "$line" | tr -cd 0-9)" ;;
    *fsfreeze-freeze*)
        fsfreeze --freeze /mnt
        echo frozen >>/tmp/agent.log
        [ -e /tmp/slow ] && sleep 3
        [ -e /tmp/deaf ] || answer 1 ;;
    *fsfreeze-thaw*)
        fsfreeze --unfreeze /mnt
        echo thawed >>/tmp/agent.log
        answer 1 ;;
    *) printf '{"error": {"class": "CommandNotFound", "desc": "no"}}\n' >&3 ;;
    esac
done
END
: >/tmp/agent.log; rm -f /tmp/slow /tmp/deaf
sh /tmp/agent >/tmp/agent.out 2>&1 </dev/null &
echo $! >/tmp/agent.pid"""


@pytest.fixture(scope="module")
def guest(cloud):
    instance = cloud.launch(wait=False)
    cloud.wait_state(instance, "running")
    cloud.wait_ssh(instance)
    return instance


def is_connected(cloud, guest):
    """libvirt hears of it a moment after the agent has opened its end."""
    uri = "qemu+unix:///system?socket=%s/libvirt/run/libvirt-sock" % cloud.state
    done = run(["virsh", "-c", uri, "dumpxml", guest], check=False)
    return "name='org.qemu.guest_agent.0' state='connected'" in done.stdout


@pytest.fixture
def mounted(cloud, guest):
    """A volume with a file system at /mnt, which the agent holds; its id."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    cloud.ssh(guest, "mkfs.ext4 -q %s && mount -t ext4 %s /mnt && sync" % (disk, disk))
    cloud.ssh(guest, AGENT)
    wait_for(lambda: is_connected(cloud, guest), 30, "agent")
    yield volume
    cloud.ssh(guest, "kill $(cat /tmp/agent.pid); umount /mnt")
    wait_for(lambda: not is_connected(cloud, guest), 30, "end of the agent")
    drop(cloud, volume)


def log(cloud, guest):
    return cloud.ssh(guest, "cat /tmp/agent.log").split()


def writable(cloud, guest):
    """Nothing holds the file system: a write ends."""
    cloud.ssh(guest, "timeout 10 sh -c 'echo x >/mnt/probe && sync'")


def content(cloud, guest, snapshot, name):
    """Of a file in the file system that a snapshot holds; "" if it is not there."""
    volume, disk = attach(cloud, guest, "/dev/sdg", SnapshotId=snapshot)
    text = cloud.ssh(guest, "mkdir -p /tmp/m && mount -t ext4 -o ro %s /tmp/m && { cat /tmp/m/%s 2>/dev/null || :; }; umount /tmp/m"
                     % (disk, name))
    drop(cloud, volume)
    return text.strip()


def take(cloud, volume):
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_completed(cloud, snapshot)
    return snapshot


def test_what_was_not_synced_is_in_it(cloud, guest, mounted):
    cloud.ssh(guest, "echo held back >/mnt/file")
    snapshot = take(cloud, mounted)
    assert log(cloud, guest) == ["frozen", "thawed"]
    writable(cloud, guest)
    assert content(cloud, guest, snapshot, "file") == "held back"


def test_an_agent_that_does_not_answer(cloud, guest, mounted):
    """It is not waited for, and what it may have done is undone."""
    cloud.ssh(guest, "touch /tmp/deaf; echo synced >/mnt/file; sync")
    snapshot = take(cloud, mounted)
    wait_for(lambda: "thawed" in log(cloud, guest), 60, "thawed guest")
    writable(cloud, guest)
    assert content(cloud, guest, snapshot, "file") == "synced"


@pytest.mark.parametrize("daemon", ["virga-node", "libvirtd"])
def test_a_daemon_is_killed_meanwhile(cloud, guest, mounted, daemon):
    cloud.ssh(guest, "touch /tmp/slow")
    snapshot = {}
    worker = threading.Thread(target=lambda: snapshot.update(cloud.ec2.create_snapshot(VolumeId=mounted)))
    worker.start()
    wait_for(lambda: "frozen" in log(cloud, guest), 30, "frozen guest", 0.1)
    old = cloud.kill(daemon)
    wait_for(lambda: cloud.pid(daemon) not in (None, old), 60, daemon)
    wait_for(lambda: log(cloud, guest)[-1] == "thawed", 90, "thawed guest")
    worker.join(60)
    cloud.ssh(guest, "rm /tmp/slow")
    wait_for(lambda: log(cloud, guest)[-1] == "thawed", 90, "thawed guest")
    writable(cloud, guest)
    if snapshot:
        wait_completed(cloud, snapshot["SnapshotId"], deadline_s=90)
    take(cloud, mounted)
    assert log(cloud, guest)[-2:] == ["frozen", "thawed"]
