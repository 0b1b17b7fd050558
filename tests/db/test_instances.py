# SPDX-License-Identifier: Apache-2.0
"""The life of instances, and how they are described."""
import base64
import datetime
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import fails


def ids_of(answer):
    return [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]]


def described(cloud, **filters):
    return ids_of(cloud.ec2.describe_instances(
        Filters=[{"Name": name.replace("_", "-"), "Values": values}
                 for name, values in filters.items()]))


def changes(answer, key):
    return [(c["PreviousState"]["Name"], c["CurrentState"]["Name"]) for c in answer[key]]


def state(cloud, instance_id):
    return cloud.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0][
        "Instances"][0]


def test_life(cloud, launch):
    ec2, one = cloud.ec2, launch()[0]["InstanceId"]
    cloud.settle()
    assert state(cloud, one)["State"]["Name"] == "running"
    public = state(cloud, one)["PublicIpAddress"]
    assert changes(ec2.stop_instances(InstanceIds=[one]), "StoppingInstances") == \
        [("running", "stopping")]
    with fails("IncorrectInstanceState", "started"):
        ec2.start_instances(InstanceIds=[one])
    cloud.settle()
    stopped = state(cloud, one)
    assert stopped["State"] == {"Code": 80, "Name": "stopped"}
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert stopped["StateTransitionReason"].startswith("User initiated (")
    assert "PublicIpAddress" not in stopped and stopped["PrivateIpAddress"]
    assert changes(ec2.start_instances(InstanceIds=[one]), "StartingInstances") == \
        [("stopped", "pending")]
    cloud.settle()
    again = state(cloud, one)
    assert again["State"]["Name"] == "running" and "StateReason" not in again
    assert again["PublicIpAddress"] and public
    ec2.reboot_instances(InstanceIds=[one])
    assert cloud.sql("SELECT reboots FROM instance") == [["1"]]
    assert changes(ec2.terminate_instances(InstanceIds=[one, one]), "TerminatingInstances") == \
        [("running", "shutting-down")]
    cloud.settle()
    gone = state(cloud, one)
    assert gone["State"] == {"Code": 48, "Name": "terminated"}
    assert gone["NetworkInterfaces"] == [] and gone["BlockDeviceMappings"] == []
    assert not {"PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"} & set(gone)
    assert ec2.describe_volumes()["Volumes"] == []
    assert changes(ec2.terminate_instances(InstanceIds=[one]), "TerminatingInstances") == \
        [("terminated", "terminated")]
    with fails("IncorrectInstanceState"):
        ec2.stop_instances(InstanceIds=[one])
    cloud.sql("UPDATE instance SET state_since = now() - interval '61 minutes'")
    with fails("InvalidInstanceID.NotFound", one):
        state(cloud, one)
    assert described(cloud) == []


def test_force_and_hibernate(cloud, launch):
    one = launch()[0]["InstanceId"]
    with fails("UnsupportedHibernationConfiguration"):
        cloud.ec2.stop_instances(InstanceIds=[one], Hibernate=True)
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.ec2.stop_instances(InstanceIds=[one], Force=True)
    assert cloud.sql("SELECT wish, force FROM instance") == [["stop", "t"]]


def test_bad_ids(cloud, launch):
    one = launch()[0]["InstanceId"]
    for call in (cloud.ec2.describe_instances, cloud.ec2.start_instances, cloud.ec2.stop_instances,
                 cloud.ec2.terminate_instances, cloud.ec2.reboot_instances,
                 cloud.ec2.describe_instance_status):
        with fails("InvalidInstanceID.Malformed", "i-xyz"):
            call(InstanceIds=["i-xyz"])
        with fails("InvalidInstanceID.NotFound", "i-00000000000000001"):
            call(InstanceIds=[one, "i-00000000000000001"])
    with fails("InvalidInstanceID.NotFound", "IDs 'i-00000000000000001, i-00000000000000002'"):
        cloud.ec2.describe_instances(InstanceIds=["i-00000000000000001", "i-00000000000000002"])


def test_dry_runs(cloud, launch):
    one = launch()[0]["InstanceId"]
    cloud.settle()
    for call in (cloud.ec2.describe_instances, cloud.ec2.start_instances, cloud.ec2.stop_instances,
                 cloud.ec2.terminate_instances, cloud.ec2.reboot_instances):
        with fails("DryRunOperation"):
            call(InstanceIds=[one], DryRun=True)
    assert state(cloud, one)["State"]["Name"] == "running"


def test_protection(cloud, launch):
    ec2, one = cloud.ec2, launch(DisableApiTermination=True)[0]["InstanceId"]
    with fails("OperationNotPermitted", "disableApiTermination"):
        ec2.terminate_instances(InstanceIds=[one])
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    ec2.modify_instance_attribute(InstanceId=one, Attribute="disableApiStop", Value="true")
    with fails("OperationNotPermitted", "disableApiStop"):
        ec2.stop_instances(InstanceIds=[one])
    ec2.terminate_instances(InstanceIds=[one])


def test_filters(cloud, launch):
    a = launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [
        {"Key": "Name", "Value": "web-1"}, {"Key": "team", "Value": "red"}]}])[0]
    cloud.settle()
    b = launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [
        {"Key": "Name", "Value": "db"}]}], InstanceInitiatedShutdownBehavior="terminate")[0]
    both, a_id, b_id = {a["InstanceId"], b["InstanceId"]}, a["InstanceId"], b["InstanceId"]
    volume = a["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]

    def only(name, *values):
        return set(ids_of(cloud.ec2.describe_instances(
            Filters=[{"Name": name, "Values": list(values)}])))
    assert only("tag:Name", "web-1") == {a_id}
    assert only("tag:Name", "web-*", "nothing") == {a_id}
    assert only("tag:Name", "w?b-1") == {a_id}
    assert only("tag:Name", "WEB-1") == set()
    assert only("tag:Name", "db", "web-1") == both
    assert only("tag-key", "team") == {a_id}
    assert only("tag-value", "red", "db") == both
    assert only("instance-state-name", "running") == {a_id}
    assert only("instance-state-name", "running", "pending") == both
    assert only("instance-state-name", "p*") == {b_id}
    assert only("instance-state-code", "16") == {a_id}
    assert only("instance-id", b_id, "i-00000000000000009") == {b_id}
    assert only("private-ip-address", a["PrivateIpAddress"]) == {a_id}
    assert only("ip-address", b["PublicIpAddress"]) == {b_id}
    assert only("block-device-mapping.volume-id", volume) == {a_id}
    assert only("network-interface.addresses.private-ip-address", a["PrivateIpAddress"]) == {a_id}
    assert only("network-interface.attachment.instance-owner-id", "000000000001") == both
    assert only("instance.group-name", "default") == both
    assert only("owner-id", "000000000002") == set()
    assert only("availability-zone", "us-east-1a") == both
    assert only("vpc-id", a["VpcId"]) == both
    assert only("instance-type", "t3.*") == both
    assert only("tenancy", "default") == both
    reservation = cloud.ec2.describe_instances(InstanceIds=[a_id])["Reservations"][0]
    assert only("reservation-id", reservation["ReservationId"]) == {a_id}
    assert ids_of(cloud.ec2.describe_instances(InstanceIds=[a_id, b_id], Filters=[
        {"Name": "tag:Name", "Values": ["db"]}])) == [b_id]
    assert ids_of(cloud.ec2.describe_instances(Filters=[
        {"Name": "tag:Name", "Values": ["db"]}, {"Name": "instance-state-name",
                                                 "Values": ["running"]}])) == []
    with fails("InvalidParameterValue", "nonsense"):
        only("nonsense", "x")


def test_filtered_pages(cloud, launch):
    """Each instance is on one page, whatever the filter leaves of it, and every page says if more follow."""
    made = [launch(5, ClientToken="%s-%d" % (size, i)) for i in range(3)
            for size in ("small", "large")]
    wanted = sorted(one["InstanceId"] for each in made[1::2] for one in each)
    found, token, pages = [], {}, 0
    while True:
        page = cloud.ec2.describe_instances(MaxResults=5, Filters=[{"Name": "client-token", "Values": ["lar*"]}],
                                            **token)
        pages += 1
        found += [one["InstanceId"] for each in page["Reservations"] for one in each["Instances"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sorted(found) == wanted and pages >= 3


def test_pages(cloud, launch):
    made = {i["InstanceId"] for count in (3, 4, 5) for i in launch(count)}
    pages = list(cloud.ec2.get_paginator("describe_instances").paginate(
        PaginationConfig={"PageSize": 5}))
    assert [len(ids_of(p)) for p in pages] == [5, 5, 2]
    assert {i for p in pages for i in ids_of(p)} == made
    filtered = list(cloud.ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}],
        PaginationConfig={"PageSize": 7}))
    assert [len(ids_of(p)) for p in filtered] == [7, 5]
    with fails("InvalidNextToken"):
        cloud.ec2.describe_instances(NextToken="bm9uc2Vuc2U")
    with fails("InvalidNextToken"):
        cloud.other.describe_instances(NextToken=pages[0]["NextToken"])
    with fails("InvalidParameterCombination"):
        cloud.ec2.describe_instances(InstanceIds=[made.pop()], MaxResults=5)
    with fails("InvalidParameterValue", "maxResults"):
        cloud.ec2.describe_instances(MaxResults=2)


def test_accounts_do_not_meet(cloud, launch):
    one = launch()[0]["InstanceId"]
    assert cloud.other.describe_instances()["Reservations"] == []
    for call in (cloud.other.describe_instances, cloud.other.terminate_instances,
                 cloud.other.stop_instances):
        with fails("InvalidInstanceID.NotFound"):
            call(InstanceIds=[one])
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.get_console_output(InstanceId=one)
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.describe_instance_attribute(InstanceId=one, Attribute="userData")
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.modify_instance_attribute(InstanceId=one, DisableApiStop={"Value": True})
    assert cloud.other.describe_volumes()["Volumes"] == []
    assert cloud.other.describe_network_interfaces()["NetworkInterfaces"] == []


def test_status(cloud, launch):
    one, two = (i["InstanceId"] for i in launch(2))
    assert cloud.ec2.describe_instance_status()["InstanceStatuses"] == []
    pending = cloud.ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert {s["InstanceStatus"]["Status"] for s in pending} == {"not-applicable"}
    cloud.settle()
    cloud.ec2.stop_instances(InstanceIds=[two])
    status = cloud.ec2.describe_instance_status()["InstanceStatuses"]
    assert [s["InstanceId"] for s in status] == [one]
    assert status[0]["InstanceStatus"] == {"Details": [{"Name": "reachability",
                                                        "Status": "passed"}], "Status": "ok"}
    assert status[0]["SystemStatus"]["Status"] == "ok"
    assert status[0]["AvailabilityZone"] == "us-east-1a"
    assert len(cloud.ec2.describe_instance_status(
        IncludeAllInstances=True, Filters=[{"Name": "instance-state-name",
                                            "Values": ["stopping"]}])["InstanceStatuses"]) == 1
    cloud.sql("UPDATE host SET seen = now() - interval '1 hour'")
    status = cloud.ec2.describe_instance_status(InstanceIds=[one])["InstanceStatuses"][0]
    assert status["SystemStatus"]["Status"] == "impaired"
    assert isinstance(status["SystemStatus"]["Details"][0]["ImpairedSince"], datetime.datetime)
    assert status["InstanceStatus"]["Status"] == "insufficient-data"


def wait_for_question(cloud, kind, one):
    deadline = time.monotonic() + 10
    while cloud.sql("SELECT kind, instance_id FROM host_question"
                    " WHERE answered IS NULL") != [[kind, one]]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_questions(cloud, launch):
    """The host is asked while the caller waits."""
    one = launch()[0]["InstanceId"]
    with fails("IncorrectInstanceState"):
        cloud.ec2.get_console_screenshot(InstanceId=one)
    cloud.settle()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cloud.ec2.get_console_screenshot, InstanceId=one)
        wait_for_question(cloud, "screenshot", one)
        cloud.control("answer", base64.b64encode(b"a picture").decode())
        answer = asked.result()
        assert answer["InstanceId"] == one
        assert base64.b64decode(answer["ImageData"]) == b"a picture"
        asked = pool.submit(cloud.ec2.get_console_screenshot, InstanceId=one)
        wait_for_question(cloud, "screenshot", one)
        cloud.control("answer", "!it is dark")
        with fails("IncorrectInstanceState", "it is dark"):
            asked.result()
        asked = pool.submit(cloud.ec2.send_diagnostic_interrupt, InstanceId=one)
        wait_for_question(cloud, "nmi", one)
        cloud.control("answer")
        asked.result()
        asked = pool.submit(cloud.ec2.get_console_output, InstanceId=one, Latest=True)
        wait_for_question(cloud, "console", one)
        cloud.control("answer", base64.b64encode(b"just now").decode())
        assert asked.result()["Output"] == "just now"
    assert cloud.ec2.get_console_output(InstanceId=one)["Output"] == "login: "
    assert cloud.sql("SELECT id FROM host_question") == []
    for call in (cloud.ec2.get_console_screenshot, cloud.ec2.send_diagnostic_interrupt):
        with fails("DryRunOperation"):
            call(InstanceId=one, DryRun=True)
        with fails("InvalidInstanceID.Malformed"):
            call(InstanceId="x")
    for call in (cloud.other.get_console_screenshot, cloud.other.send_diagnostic_interrupt):
        with fails("InvalidInstanceID.NotFound"):
            call(InstanceId=one)


def test_nobody_answers(cloud, launch):
    one = launch()[0]["InstanceId"]
    cloud.settle()
    with fails("Unavailable"):
        cloud.ec2.get_console_screenshot(InstanceId=one)
    assert cloud.sql("SELECT id FROM host_question") == []
    cloud.sql("INSERT INTO host_question (id, host_id, instance_id, kind)"
              " SELECT 'q-' || n, 'host-1', 'i-1', 'nmi' FROM generate_series(1, 4) n")
    with fails("Unavailable"):  # at once: enough wait already
        cloud.ec2.send_diagnostic_interrupt(InstanceId=one)
    cloud.sql("DELETE FROM host_question")


def test_password(cloud, launch):
    one = launch()[0]["InstanceId"]
    answer = cloud.ec2.get_password_data(InstanceId=one)
    assert answer["InstanceId"] == one and answer["PasswordData"] == "" and answer["Timestamp"]
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.get_password_data(InstanceId=one)
    with fails("InvalidInstanceID.Malformed"):
        cloud.ec2.get_password_data(InstanceId="x")


def test_console(cloud, launch):
    one = launch()[0]["InstanceId"]
    assert "Output" not in cloud.ec2.get_console_output(InstanceId=one)
    cloud.settle()
    answer = cloud.ec2.get_console_output(InstanceId=one)
    assert answer["Output"] == "login: " and answer["InstanceId"] == one
    with fails("InvalidInstanceID.NotFound"):
        cloud.ec2.get_console_output(InstanceId="i-00000000000000001")


@pytest.mark.parametrize("count", [1, 60])
def test_order_is_stable(cloud, launch, count):
    launch(count)
    first = ids_of(cloud.ec2.describe_instances())
    assert len(first) == count and first == ids_of(cloud.ec2.describe_instances())
    indexes = [i["AmiLaunchIndex"] for i in
               cloud.ec2.describe_instances()["Reservations"][0]["Instances"]]
    assert indexes == list(range(count))
