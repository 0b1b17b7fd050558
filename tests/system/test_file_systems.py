# SPDX-License-Identifier: Apache-2.0
"""File systems that real guests share by NFS: who may mount them, and what survives."""
import os
import signal

import pytest

from conftest import run, wait_for

MOUNT = "mkdir -p /mnt/shared && mount -t nfs4 -o vers=4.1,addr=%s,clientaddr=0.0.0.0,hard,timeo=50 %s:/ /mnt/shared"


@pytest.fixture(scope="module")
def guests(cloud):
    pair = [cloud.launch(wait=False) for _ in range(2)]
    for guest in pair:
        cloud.wait_state(guest, "running")
        cloud.wait_ssh(guest)
    return pair


@pytest.fixture(scope="module")
def efs(cloud):
    return cloud.client("efs")


def wait_serving(efs, fs):
    def serving():
        found = efs.describe_mount_targets(FileSystemId=fs)["MountTargets"][0]
        return found if found["LifeCycleState"] == "available" else None
    return wait_for(serving, 90, "the mount target to be served")


@pytest.fixture(scope="module")
def shared(cloud, efs, guests):
    """A file system whose mount target lets nobody in, and that group."""
    fs = efs.create_file_system(CreationToken="shared")["FileSystemId"]
    subnet = cloud.describe(guests[0])["SubnetId"]
    vpc = cloud.describe(guests[0])["VpcId"]
    group = cloud.ec2.create_security_group(GroupName="nfs", Description="nfs", VpcId=vpc)["GroupId"]
    efs.create_mount_target(FileSystemId=fs, SubnetId=subnet, SecurityGroups=[group])
    return fs, wait_serving(efs, fs), group


def reaches(cloud, guest, address):
    mount = "mount -t nfs4 -o vers=4.1,addr=%s,clientaddr=0.0.0.0,soft,timeo=10,retrans=1 %s:/ /mnt/shared" % (address, address)
    return run_in(cloud, guest, "mkdir -p /mnt/shared; timeout -s KILL 10 %s && umount /mnt/shared && echo yes || echo no"
                  % mount).strip().endswith("yes")


def run_in(cloud, guest, command):
    return cloud.ssh(guest, command, deadline_s=60)


def server_pid(cloud, target):
    """0: just now there is none."""
    try:
        with open("%s/node/files/%s.pid" % (cloud.state, target)) as file:
            return int(file.read() or 0)
    except FileNotFoundError:
        return 0


def test_group_decides(cloud, guests, shared):
    fs, target, group = shared
    assert not reaches(cloud, guests[0], target["IpAddress"])
    mine = cloud.describe(guests[0])["SecurityGroups"][0]["GroupId"]
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "UserIdGroupPairs": [{"GroupId": mine}]}])
    wait_for(lambda: reaches(cloud, guests[0], target["IpAddress"]), 60, "the group to let the guest in")


def test_two_guests_share(cloud, guests, shared):
    fs, target, _ = shared
    one, two = guests
    for guest in guests:
        run_in(cloud, guest, MOUNT % (target["IpAddress"], target["IpAddress"]))
    run_in(cloud, one, "echo from one >/mnt/shared/a && mkdir /mnt/shared/d && sync")
    assert run_in(cloud, two, "cat /mnt/shared/a").strip() == "from one"
    run_in(cloud, two, "head -c 3000000 /dev/urandom >/mnt/shared/d/b && sync")
    sums = {run_in(cloud, guest, "sha256sum /mnt/shared/d/b").split()[0] for guest in guests}
    assert len(sums) == 1
    assert fs + ".efs" in run_in(cloud, one, "nslookup %s.efs.us-east-1.amazonaws.com 2>&1" % fs)


def test_server_and_node_are_killed(cloud, guests, efs, shared):
    """What was written is there, and guests that have it mounted go on."""
    fs, target, _ = shared
    before = run_in(cloud, guests[0], "cat /mnt/shared/a /mnt/shared/d/b | sha256sum")
    pid = server_pid(cloud, target["MountTargetId"])
    cloud.kill("virga-node")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server_pid(cloud, target["MountTargetId"]) not in (0, pid), 90, "another server")
    run_in(cloud, guests[1], "echo again >/mnt/shared/c && sync")
    assert run_in(cloud, guests[0], "cat /mnt/shared/c").strip() == "again"
    assert run_in(cloud, guests[0], "cat /mnt/shared/a /mnt/shared/d/b | sha256sum") == before
    wait_for(lambda: efs.describe_file_systems(FileSystemId=fs)["FileSystems"][0]["SizeInBytes"]["Value"] > 3000000,
             60, "its size to be told")


def test_the_end(cloud, guests, efs, shared):
    fs, target, group = shared
    for guest in guests:
        run_in(cloud, guest, "umount /mnt/shared")
    pid = server_pid(cloud, target["MountTargetId"])
    efs.delete_mount_target(MountTargetId=target["MountTargetId"])
    efs.delete_file_system(FileSystemId=fs)
    wait_for(lambda: not efs.describe_file_systems()["FileSystems"], 90, "the file system to go")
    assert not os.path.exists("/proc/%d" % pid)
    assert os.listdir(cloud.state + "/node/files") in ([], ["wish.json"])
    assert fs not in run(["losetup", "-a"]).stdout
    cloud.ec2.delete_security_group(GroupId=group)
    cloud.terminate_all()
    cloud.wait_no_leaks()
