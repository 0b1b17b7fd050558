# SPDX-License-Identifier: Apache-2.0
"""The tour of file systems with Debian's unmodified aws: REST-JSON by a real client."""
import json

import pytest

from conftest import run, wait_for

pytestmark = pytest.mark.usefixtures("fake_cloud")


@pytest.fixture
def efs(fake_cloud):
    def call(*arguments, check=True, service="efs"):
        done = run(["/usr/bin/aws", service, *arguments, "--output", "json"], env=fake_cloud.env, deadline_s=60, check=check)
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else None
    return call


def refused(efs, code, *arguments):
    done = efs(*arguments, check=False)
    assert done.returncode == 254 and "(%s)" % code in done.stderr, done.stderr


def test_tour(efs):
    subnet = efs("describe-subnets", service="ec2")["Subnets"][0]
    made = efs("create-file-system", "--creation-token", "tour", "--performance-mode", "generalPurpose",
               "--tags", "Key=Name,Value=tour")
    fs = ("--file-system-id", made["FileSystemId"])
    assert made["LifeCycleState"] == "available" and made["Name"] == "tour"
    refused(efs, "FileSystemAlreadyExists", "create-file-system", "--creation-token", "tour")
    assert [f["FileSystemId"] for f in efs("describe-file-systems")["FileSystems"]] == [fs[1]]
    assert efs("update-file-system", *fs, "--throughput-mode", "bursting")["ThroughputMode"] == "bursting"
    assert efs("describe-lifecycle-configuration", *fs)["LifecyclePolicies"] == []
    target = efs("create-mount-target", *fs, "--subnet-id", subnet["SubnetId"])["MountTargetId"]
    wait_for(lambda: efs("describe-mount-targets", *fs)["MountTargets"][0]["LifeCycleState"] == "available", 30,
             "the mount target")
    groups = efs("describe-mount-target-security-groups", "--mount-target-id", target)["SecurityGroups"]
    efs("modify-mount-target-security-groups", "--mount-target-id", target, "--security-groups", *groups)
    efs("tag-resource", "--resource-id", made["FileSystemArn"], "--tags", "Key=a,Value=b")
    efs("untag-resource", "--resource-id", fs[1], "--tag-keys", "Name")
    assert efs("list-tags-for-resource", "--resource-id", fs[1])["Tags"] == [{"Key": "a", "Value": "b"}]
    efs("create-tags", *fs, "--tags", "Key=c,Value=d")
    efs("delete-tags", *fs, "--tag-keys", "c")
    assert efs("describe-tags", *fs)["Tags"] == [{"Key": "a", "Value": "b"}]
    refused(efs, "FileSystemInUse", "delete-file-system", *fs)
    refused(efs, "UnsupportedOperation", "describe-file-system-policy", *fs)
    efs("delete-mount-target", "--mount-target-id", target)
    efs("delete-file-system", *fs)
    wait_for(lambda: efs("describe-file-systems")["FileSystems"] == [], 30, "the end of the file system")
    refused(efs, "FileSystemNotFound", "delete-file-system", *fs)
