# SPDX-License-Identifier: Apache-2.0
"""Locks of snapshots.  Debian's botocore does not know them yet: the answers are read as XML."""
import datetime
import re
import urllib.error
import urllib.request

import pytest

from conftest import IMAGE_SNAPSHOT, KEYS, fails
from test_snapshots import running, take  # noqa: F401


def call(cloud, action, id_=IMAGE_SNAPSHOT, **options):
    """The members of the answer; a failure's code is in "Code"."""
    parameters = {"Action": action, "SnapshotId": id_}
    parameters.update((key.replace("_", "."), value) for key, value in options.items())
    return dict(re.findall(r"<(\w+)>([^<>]*)</", cloud.raw(parameters)))


def locked(cloud, *ids, **options):
    parameters = {"Action": "DescribeLockedSnapshots"}
    parameters.update(("SnapshotId.%d" % n, id_) for n, id_ in enumerate(ids, 1))
    parameters.update((key.replace("_", "."), value) for key, value in options.items())
    items = re.findall(r"<item>(.*?)</item>", cloud.raw(parameters), re.DOTALL)
    return [dict(re.findall(r"<(\w+)>([^<>]*)</", item)) for item in items]


def age(cloud, hours):
    """All that a lock knows lies so much longer ago."""
    cloud.sql("UPDATE snapshot_lock SET created = created - interval '%d hours',"
              " started = started - interval '%d hours', until = until - interval '%d hours',"
              " cool_off_until = cool_off_until - interval '%d hours'" % ((hours,) * 4))
    cloud.sql("UPDATE snapshot SET completed = coalesce(completed, created) - interval '%d hours'" % hours)


def test_governance(cloud):
    cloud.sql("UPDATE snapshot SET completed = created")
    one = call(cloud, "LockSnapshot", LockMode="governance", LockDuration="3")
    assert one["lockState"] == "governance" and one["lockDuration"] == "3" and "coolOffPeriod" not in one
    start, end = (datetime.datetime.fromisoformat(one[name].rstrip("Z"))
                  for name in ("lockDurationStartTime", "lockExpiresOn"))
    assert end - start == datetime.timedelta(days=3)
    with fails("OperationNotPermitted", "locked"):
        cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)
    assert [s["snapshotId"] for s in locked(cloud)] == [IMAGE_SNAPSHOT]
    assert locked(cloud, Filter_1_Name="lock-state", Filter_1_Value_1="compliance") == []
    assert locked(cloud, Filter_1_Name="lock-state", Filter_1_Value_1="governance") != []
    less = call(cloud, "LockSnapshot", LockMode="governance", LockDuration="1")  # its owner may
    assert less["lockDuration"] == "1" and less["lockCreatedOn"] == one["lockCreatedOn"]
    assert call(cloud, "UnlockSnapshot")["snapshotId"] == IMAGE_SNAPSHOT
    assert call(cloud, "UnlockSnapshot")["Code"] == "IncorrectState"
    assert locked(cloud) == []
    cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)


def test_expires(cloud):
    cloud.sql("UPDATE snapshot SET completed = created")
    call(cloud, "LockSnapshot", LockMode="compliance", LockDuration="1")
    age(cloud, 23)
    with fails("OperationNotPermitted"):
        cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)
    age(cloud, 2)
    assert locked(cloud, IMAGE_SNAPSHOT)[0]["lockState"] == "expired"
    again = call(cloud, "LockSnapshot", LockMode="governance", LockDuration="1")
    assert again["lockState"] == "governance"
    age(cloud, 25)
    cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)
    assert cloud.sql("SELECT count(*) FROM snapshot_lock") == [["0"]]


def test_compliance(cloud):
    cloud.sql("UPDATE snapshot SET completed = created")
    one = call(cloud, "LockSnapshot", LockMode="compliance", LockDuration="10", CoolOffPeriod="2")
    assert one["lockState"] == "compliance-cooloff" and one["coolOffPeriod"] == "2"
    assert call(cloud, "LockSnapshot", LockMode="compliance", LockDuration="9", CoolOffPeriod="3")["lockDuration"] == "9"
    age(cloud, 4)
    assert locked(cloud)[0]["lockState"] == "compliance"
    for change in ({"LockMode": "governance", "LockDuration": "20"}, {"LockMode": "compliance", "LockDuration": "8"},
                   {"LockMode": "compliance", "LockDuration": "20", "CoolOffPeriod": "1"}):
        assert call(cloud, "LockSnapshot", **change)["Code"] == "OperationNotPermitted"
    assert call(cloud, "UnlockSnapshot")["Code"] == "OperationNotPermitted"
    assert call(cloud, "LockSnapshot", LockMode="compliance", LockDuration="20")["lockDuration"] == "20"
    until = (datetime.datetime.utcnow() + datetime.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    longer = call(cloud, "LockSnapshot", LockMode="compliance", ExpirationDate=until)
    assert longer["lockExpiresOn"].startswith(until[:19])
    with fails("OperationNotPermitted"):
        cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)


def test_time_begins_when_completed(cloud, running):  # noqa: F811
    one = take(cloud, running[1])
    lock = call(cloud, "LockSnapshot", one, LockMode="compliance", LockDuration="1")
    assert lock["lockState"] == "compliance" and "lockExpiresOn" not in lock
    assert call(cloud, "LockSnapshot", one, LockMode="compliance", LockDuration="2")["lockDuration"] == "2"
    assert call(cloud, "LockSnapshot", one, LockMode="compliance", LockDuration="1")["Code"] == "OperationNotPermitted"
    cloud.settle()
    assert locked(cloud, one)[0]["lockExpiresOn"]


def test_image_goes_without_its_locked_snapshot(cloud, image):
    call(cloud, "LockSnapshot", LockMode="governance", LockDuration="1")
    xml = cloud.raw({"Action": "DeregisterImage", "ImageId": image, "DeleteAssociatedSnapshots": "true"})
    assert "<returnCode>skipped<" in xml
    cloud.ec2.describe_snapshots(SnapshotIds=[IMAGE_SNAPSHOT])


@pytest.mark.parametrize("options, code", [
    ({"LockMode": "governance"}, "MissingParameter"),
    ({"LockMode": "governance", "LockDuration": "1", "ExpirationDate": "2099-01-01T00:00:00Z"},
     "InvalidParameterCombination"),
    ({"LockMode": "governance", "LockDuration": "0"}, "InvalidParameterValue"),
    ({"LockMode": "governance", "LockDuration": "36501"}, "InvalidParameterValue"),
    ({"LockMode": "governance", "ExpirationDate": "2020-01-01T00:00:00Z"}, "InvalidParameterValue"),
    ({"LockMode": "governance", "LockDuration": "1", "CoolOffPeriod": "1"}, "InvalidParameterCombination"),
    ({"LockMode": "compliance", "LockDuration": "1", "CoolOffPeriod": "73"}, "InvalidParameterValue"),
    ({"LockMode": "loose", "LockDuration": "1"}, "InvalidParameterValue"),
])
def test_refused(cloud, options, code):
    assert call(cloud, "LockSnapshot", **options)["Code"] == code
    assert locked(cloud) == []


def test_others(cloud):
    """Whoever may only use a snapshot does not lock it."""
    cloud.ec2.modify_snapshot_attribute(SnapshotId=IMAGE_SNAPSHOT, OperationType="add", GroupNames=["all"])
    body, headers = cloud.signed({"Action": "LockSnapshot", "SnapshotId": IMAGE_SNAPSHOT,
                                  "LockMode": "governance", "LockDuration": "1"}, KEYS[1])
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(cloud.url + "/", body, headers, method="POST"))
    assert "AuthFailure" in caught.value.read().decode()
    assert call(cloud, "LockSnapshot", "snap-00000000000000001", LockMode="governance",
                LockDuration="1")["Code"] == "InvalidSnapshot.NotFound"
