# SPDX-License-Identifier: Apache-2.0
"""Volumes that are attached to instances on other hosts than the one that has their bytes."""
import pytest

from conftest import fails
from test_volumes import ZONE, make, running, volume  # noqa: F401


def host_of(cloud, table, id_):
    return cloud.sql("SELECT host_id FROM %s WHERE id = '%s'" % (table, id_))[0][0]


def export_of(cloud, id_):
    return cloud.sql("SELECT export_host_id, export_port, export_key FROM volume_attachment"
                     " WHERE volume_id = '%s'" % id_)[0]


def generation(cloud, host):
    return int(cloud.sql("SELECT generation FROM host WHERE id = '%s'" % host)[0][0])


@pytest.fixture
def elsewhere(cloud, make, running):
    """Makes volumes whose bytes are on another host than the instance; both can be reached."""
    cloud.host(name="host-2")
    other = cloud.sql("SELECT id FROM host WHERE id <> '%s'" % host_of(cloud, "instance", running))[0][0]
    cloud.sql("UPDATE host SET tunnel_address = CASE WHEN id = '%s' THEN '192.0.2.2' ELSE '192.0.2.1' END::inet" % other)

    def go():
        id_ = make()
        cloud.sql("UPDATE volume SET made = true, host_id = '%s' WHERE id = '%s'" % (other, id_))
        return id_
    go.host = other
    return go


def test_each_has_a_port_and_a_key(cloud, elsewhere, running):
    before = generation(cloud, elsewhere.host)
    one, two = elsewhere(), elsewhere()
    for device, id_ in (("/dev/sdf", one), ("/dev/sdg", two)):
        cloud.ec2.attach_volume(VolumeId=id_, InstanceId=running, Device=device)
    first, second = export_of(cloud, one), export_of(cloud, two)
    assert first[0] == second[0] == elsewhere.host == host_of(cloud, "volume", one)
    assert first[1] == "10809" and second[1] == "10810"
    assert len(first[2]) == 64 and first[2] != second[2]
    assert generation(cloud, elsewhere.host) > before
    # The first one's place is free again, and its host hears of that; a key is never used again.
    cloud.settle()
    before = generation(cloud, elsewhere.host)
    cloud.ec2.detach_volume(VolumeId=one)
    cloud.settle()
    assert volume(cloud, one)["State"] == "available"
    assert generation(cloud, elsewhere.host) > before
    assert host_of(cloud, "volume", one) == elsewhere.host
    cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    again = export_of(cloud, one)
    assert again[1] == "10809" and again[2] != first[2]


def test_refused(cloud, elsewhere, running, make):
    one = elsewhere()
    cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    for call in (lambda: cloud.ec2.create_snapshot(VolumeId=one),
                 lambda: cloud.ec2.create_snapshots(InstanceSpecification={"InstanceId": running}),
                 lambda: cloud.ec2.create_image(InstanceId=running, Name="of-it", NoReboot=True),
                 lambda: cloud.ec2.modify_volume(VolumeId=one, Size=9)):
        with fails("IncorrectState", "another host"):
            call()
    assert not cloud.sql("SELECT id FROM snapshot WHERE state = 'pending'")
    cloud.ec2.modify_volume(VolumeId=one, VolumeType="gp3")  # its speed is its guest's
    # Nor is one attached whose snapshot's moment is still to come, or that nobody could reach.
    two = elsewhere()
    snapshot = cloud.ec2.create_snapshot(VolumeId=two)["SnapshotId"]
    cloud.control("hold", "moments")
    cloud.sql("UPDATE snapshot SET cut = false, state = 'pending' WHERE id = '%s'" % snapshot)
    with fails("IncorrectState", "has just begun"):
        cloud.ec2.attach_volume(VolumeId=two, InstanceId=running, Device="/dev/sdg")
    cloud.control("hold")
    three = elsewhere()
    cloud.sql("UPDATE host SET tunnel_address = NULL WHERE id = '%s'" % elsewhere.host)
    with fails("UnsupportedOperation", "another host"):
        cloud.ec2.attach_volume(VolumeId=three, InstanceId=running, Device="/dev/sdg")


def test_goes_with_the_instance(cloud, elsewhere, running):
    """The host that has the bytes is told to delete them."""
    one = elsewhere()
    cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    cloud.settle()
    cloud.sql("UPDATE volume_attachment SET delete_on_termination = true WHERE volume_id = '%s'" % one)
    before = generation(cloud, elsewhere.host)
    cloud.ec2.terminate_instances(InstanceIds=[running])
    cloud.settle()
    assert generation(cloud, elsewhere.host) > before


def test_no_port_left(cloud, elsewhere, running):
    """What could not be served is not attached."""
    one = elsewhere()
    cloud.sql("WITH made AS (INSERT INTO volume (id, account_id, zone, host_id, size_gib, type) SELECT 'vol-' || p,"
              " account_id, zone, host_id, 1, 'gp2' FROM volume, generate_series(10809, 14904) p WHERE id = '%s'"
              " RETURNING id, account_id) INSERT INTO volume_attachment (volume_id, account_id, instance_id, device,"
              " delete_on_termination, export_host_id, export_port, export_key) SELECT id, account_id, 'i-0', '/dev/' || id,"
              " false, '%s', substr(id, 5)::integer, 'x' FROM made" % (one, elsewhere.host))
    with fails("InsufficientVolumeCapacity", "as it can"):
        cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    assert volume(cloud, one)["State"] == "available"
    cloud.sql("DELETE FROM volume WHERE id = 'vol-12000'")
    cloud.ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    assert export_of(cloud, one)[1] == "12000"
