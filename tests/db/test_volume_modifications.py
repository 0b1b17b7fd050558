# SPDX-License-Identifier: Apache-2.0
"""Volumes that become larger, or of another type."""
import pytest

from conftest import fails
from test_quotas import check, limit  # noqa: F401
from test_volumes import make, running, volume  # noqa: F401


def change(cloud, id_, **options):
    return cloud.ec2.modify_volume(VolumeId=id_, **options)["VolumeModification"]


def changes(cloud, *ids, **options):
    return cloud.ec2.describe_volumes_modifications(VolumeIds=list(ids), **options)["VolumesModifications"]


def test_of_an_attached_volume(cloud, running, make):  # noqa: F811
    one = make(Size=3)
    cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    cloud.settle()
    asked = change(cloud, one, Size=5, VolumeType="gp3", Iops=4000, Throughput=300)
    assert asked["ModificationState"] == "modifying" and asked["Progress"] == 0
    assert (asked["OriginalSize"], asked["TargetSize"]) == (3, 5)
    assert (asked["OriginalVolumeType"], asked["OriginalIops"]) == ("gp2", 100)
    assert (asked["TargetVolumeType"], asked["TargetIops"], asked["TargetThroughput"]) == ("gp3", 4000, 300)
    with fails("IncorrectModificationState"):
        change(cloud, one, Size=6)
    cloud.settle()
    done = changes(cloud, one)[0]
    assert done["ModificationState"] == "completed" and done["Progress"] == 100 and done["EndTime"]
    now = volume(cloud, one)
    assert (now["Size"], now["VolumeType"], now["Iops"], now["Throughput"]) == (5, "gp3", 4000, 300)
    assert now["State"] == "in-use"
    change(cloud, one, VolumeType="gp2")  # what it cannot have goes
    cloud.settle()
    now = volume(cloud, one)
    assert now["VolumeType"] == "gp2" and now["Iops"] == 100 and "Throughput" not in now
    check(cloud)


def test_of_one_by_itself(cloud, make):  # noqa: F811
    """Nobody has to hear of it."""
    one = make(Size=3)
    assert change(cloud, one, Size=4)["ModificationState"] == "completed"
    assert volume(cloud, one)["Size"] == 4
    cloud.ec2.delete_volume(VolumeId=one)
    assert changes(cloud) == []
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({}, "MissingParameter"),
    ({"Size": 2}, "InvalidParameterValue"),
    ({"Size": 99999}, "InvalidParameterValue"),
    ({"VolumeType": "st1"}, "InvalidParameterValue"),  # too small for it
    ({"VolumeType": "io1"}, "MissingParameter"),
    ({"Iops": 4000}, "InvalidParameterCombination"),
    ({"VolumeType": "gp3", "Throughput": 9999}, "InvalidParameterValue"),
    ({"Size": 4, "MultiAttachEnabled": True}, "UnsupportedOperation"),
    ({"Size": 4, "DryRun": True}, "DryRunOperation"),
])
def test_refused(cloud, make, options, code):  # noqa: F811
    one = make(Size=3)
    with fails(code):
        change(cloud, one, **options)
    assert volume(cloud, one)["Size"] == 3 and changes(cloud) == []


def test_of_others(cloud, make):  # noqa: F811
    one = make()
    with fails("InvalidVolume.NotFound"):
        cloud.other.modify_volume(VolumeId=one, Size=9)
    with fails("InvalidVolumeModification.NotFound"):
        changes(cloud, one)
    change(cloud, one, Size=9)
    assert cloud.other.describe_volumes_modifications()["VolumesModifications"] == []
    with fails("InvalidVolumeModification.NotFound"):
        cloud.other.describe_volumes_modifications(VolumeIds=[one])


def test_quota(cloud, make, limit):  # noqa: F811
    limit(volume_gib=10)
    one = make(Size=8)
    with fails("VolumeLimitExceeded"):
        change(cloud, one, Size=11)
    change(cloud, one, Size=10)
    check(cloud)


def test_filters_and_pages(cloud, make):  # noqa: F811
    ids = sorted(make(Size=2) for _ in range(3))
    for number, one in enumerate(ids):
        change(cloud, one, Size=3 + number)

    def by(name, value):
        return [m["VolumeId"] for m in changes(cloud, Filters=[{"Name": name, "Values": [value]}])]
    assert by("target-size", "4") == [ids[1]] and by("original-size", "2") == ids
    assert by("modification-state", "completed") == ids and by("target-volume-type", "gp3") == []
    first = cloud.ec2.describe_volumes_modifications(MaxResults=2)
    rest = cloud.ec2.describe_volumes_modifications(MaxResults=2, NextToken=first["NextToken"])
    assert [m["VolumeId"] for m in first["VolumesModifications"] + rest["VolumesModifications"]] == ids
