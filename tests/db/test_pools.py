# SPDX-License-Identifier: Apache-2.0
"""Volumes of types that are kept in a pool of all hosts."""
from conftest import fails
from test_volumes import ZONE, make, running, state, volume  # noqa: F401


def pool_of(cloud, id_):
    return cloud.sql("SELECT pool FROM volume WHERE id = '%s'" % id_)[0][0]


def test_type_names_pool(cloud, make, launch):
    assert pool_of(cloud, make(VolumeType="sc1", Size=125)) == "ceph"
    assert pool_of(cloud, make(VolumeType="gp3")) == "local"
    with fails("UnsupportedOperation", "not available in the zone"):
        make(VolumeType="standard", Size=1)
    instance = launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {
        "VolumeType": "sc1", "VolumeSize": 125}}])[0]["InstanceId"]
    cloud.settle()
    made = {mapping["DeviceName"]: mapping["Ebs"]["VolumeId"] for mapping in cloud.ec2.describe_instances(
        InstanceIds=[instance])["Reservations"][0]["Instances"][0]["BlockDeviceMappings"]}
    assert {name: pool_of(cloud, id_) for name, id_ in made.items()} == {"/dev/xvda": "local", "/dev/sdf": "ceph"}
    with fails("UnsupportedOperation"):
        launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeType": "standard", "VolumeSize": 1}}])


def test_is_bound_to_no_host(cloud, make, running):
    """What has been on one host comes to an instance of another one."""
    shared, local = make(VolumeType="sc1", Size=125), make()
    for device, id_ in (("/dev/sdf", shared), ("/dev/sdg", local)):
        cloud.ec2.attach_volume(VolumeId=id_, InstanceId=running, Device=device)
        cloud.settle()
        cloud.ec2.detach_volume(VolumeId=id_)
        cloud.settle()
    cloud.sql("UPDATE volume SET made = true WHERE id IN ('%s', '%s')" % (shared, local))
    cloud.host(name="host-2")
    cloud.sql("UPDATE volume SET host_id = (SELECT max(id) FROM host WHERE id <> (SELECT host_id FROM instance"
              " WHERE id = '%s')) WHERE id IN ('%s', '%s')" % (running, shared, local))
    with fails("UnsupportedOperation", "another host"):
        cloud.ec2.attach_volume(VolumeId=local, InstanceId=running, Device="/dev/sdg")
    cloud.ec2.attach_volume(VolumeId=shared, InstanceId=running, Device="/dev/sdf")
    cloud.settle()
    assert volume(cloud, shared)["Attachments"][0]["State"] == "attached"
    assert cloud.sql("SELECT v.host_id = i.host_id FROM volume v, instance i WHERE v.id = '%s' AND i.id = '%s'"
                     % (shared, running))[0][0] == "t"


def test_stays_in_its_pool(cloud, make):
    shared, local = make(VolumeType="sc1", Size=125), make(Size=125)
    with fails("UnsupportedOperation", "kept elsewhere"):
        cloud.ec2.modify_volume(VolumeId=shared, VolumeType="gp3")
    with fails("UnsupportedOperation", "kept elsewhere"):
        cloud.ec2.modify_volume(VolumeId=local, VolumeType="sc1")
    cloud.ec2.modify_volume(VolumeId=shared, Size=126)
    cloud.ec2.modify_volume(VolumeId=local, VolumeType="st1")
    assert volume(cloud, shared)["Size"] == 126 and volume(cloud, local)["VolumeType"] == "st1"


def test_lost_host(cloud, make, running):
    """What the lost host would do to a volume, another one does; what is on its own disk waits for it."""
    shared, local = make(VolumeType="sc1", Size=125), make()
    cloud.host(name="host-2")
    here = cloud.sql("SELECT host_id FROM instance WHERE id = '%s'" % running)[0][0]
    cloud.sql("UPDATE volume SET made = true, host_id = (SELECT id FROM host WHERE id <> '%s') WHERE id IN ('%s', '%s')"
              % (here, shared, local))
    cloud.sql("UPDATE host SET seen = now() - interval '1 hour' WHERE id <> '%s'" % here)
    for id_ in (shared, local):
        cloud.ec2.delete_volume(VolumeId=id_)
    bound = dict(cloud.sql("SELECT id, host_id FROM volume WHERE id IN ('%s', '%s')" % (shared, local)))
    assert bound[shared] == here and bound[local] != here
